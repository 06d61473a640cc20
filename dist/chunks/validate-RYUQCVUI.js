import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{MAX_LOOKS,MAX_METRICS,MAX_POINTS,checkCase}from"./chunk-P66GJSGJ.js";import"./chunk-SXFYYG2E.js";export{MAX_LOOKS,MAX_METRICS,MAX_POINTS,checkCase};
