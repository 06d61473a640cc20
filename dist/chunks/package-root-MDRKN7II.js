import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{packageRoot,packageVersion}from"./chunk-DDH5STBO.js";import"./chunk-U42222YD.js";import"./chunk-SXFYYG2E.js";export{packageRoot,packageVersion};
