import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{checkSources,kustomizationFile,readKustomization}from"./chunk-YDHGMNMS.js";import"./chunk-IUPTALQM.js";import"./chunk-L6GNIJZ7.js";import"./chunk-7VCPHPEQ.js";import"./chunk-XLIBRZQI.js";import"./chunk-SXFYYG2E.js";export{checkSources,kustomizationFile,readKustomization};
