import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{increments,queryRange,readRangeFile}from"./chunk-PHL6FKEW.js";import"./chunk-X7BTUDQS.js";import"./chunk-A32BOFCI.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{increments,queryRange,readRangeFile};
