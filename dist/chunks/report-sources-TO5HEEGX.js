import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{filesOfFindings,rulesOfFindings,summaryOf}from"./chunk-SMWIULY6.js";import"./chunk-OJPIIDGX.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{filesOfFindings,rulesOfFindings,summaryOf};
