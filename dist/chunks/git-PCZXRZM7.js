import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{checkRef,cleanEnvironment,openGit}from"./chunk-HLBVTIK7.js";import"./chunk-JT4V5NR2.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{checkRef,cleanEnvironment,openGit};
