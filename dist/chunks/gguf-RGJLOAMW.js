import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{readModel,readModelFile}from"./chunk-6RQAJ4RQ.js";import"./chunk-U42222YD.js";import"./chunk-SXFYYG2E.js";export{readModel,readModelFile};
