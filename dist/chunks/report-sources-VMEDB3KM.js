import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{filesOfFindings,rulesOfFindings,summaryOf}from"./chunk-LEJFW5PC.js";import"./chunk-DDH5STBO.js";import"./chunk-U42222YD.js";import"./chunk-SXFYYG2E.js";export{filesOfFindings,rulesOfFindings,summaryOf};
