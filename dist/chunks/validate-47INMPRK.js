import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{MAX_LOOKS,checkCase}from"./chunk-V43FKMAP.js";import"./chunk-LUWXMLP2.js";import"./chunk-LC4FE3ZB.js";import"./chunk-SXFYYG2E.js";export{MAX_LOOKS,checkCase};
