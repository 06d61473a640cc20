import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{commitTree,folderTree,glob,materialize,normalise,subtree}from"./chunk-M6KXVKN6.js";import"./chunk-5Q2ZQTKL.js";import"./chunk-CFHU727Q.js";import"./chunk-7VCPHPEQ.js";import"./chunk-SXFYYG2E.js";export{commitTree,folderTree,glob,materialize,normalise,subtree};
