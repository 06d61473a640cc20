import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{readModel,readModelFile}from"./chunk-WGL2MIU5.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{readModel,readModelFile};
