import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{MAX_POINTS,baseUrl,displayUrl,numberOf,parseAnswer,request,seconds,unexpected}from"./chunk-X7BTUDQS.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{MAX_POINTS,baseUrl,displayUrl,numberOf,parseAnswer,request,seconds,unexpected};
