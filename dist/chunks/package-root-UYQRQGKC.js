import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{packageRoot,packageVersion}from"./chunk-OJPIIDGX.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{packageRoot,packageVersion};
