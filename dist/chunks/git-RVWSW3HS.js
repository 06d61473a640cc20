import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{checkRef,cleanEnvironment,openGit}from"./chunk-ZE5JCDLG.js";import"./chunk-PUIMCGWE.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{checkRef,cleanEnvironment,openGit};
