import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{checkRef,openGit,whyNotOpened}from"./chunk-XDV7CMXZ.js";import"./chunk-PK3WCTEA.js";import"./chunk-PXGNOOZQ.js";import"./chunk-U42222YD.js";import"./chunk-SXFYYG2E.js";export{checkRef,openGit,whyNotOpened};
