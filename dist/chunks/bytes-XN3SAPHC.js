import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{formatBytes,parseBytes}from"./chunk-7H5Q5MEG.js";import"./chunk-SXFYYG2E.js";export{formatBytes,parseBytes};
