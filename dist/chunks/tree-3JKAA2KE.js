import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{below,commitTree,folderTree,glob,materialize,normalise,subtree}from"./chunk-NX2CTTQY.js";import"./chunk-U42222YD.js";import"./chunk-LC4FE3ZB.js";import"./chunk-SXFYYG2E.js";export{below,commitTree,folderTree,glob,materialize,normalise,subtree};
