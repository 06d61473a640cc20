import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{checkRef,openGit}from"./chunk-52G5DV35.js";import"./chunk-JT4V5NR2.js";import"./chunk-PXGNOOZQ.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{checkRef,openGit};
