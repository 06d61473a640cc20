import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{UNIT_MS,parsePromDuration}from"./chunk-NN5S5CO4.js";import"./chunk-SXFYYG2E.js";export{UNIT_MS,parsePromDuration};
