import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{commitTree,folderTree,glob,materialize,normalise,subtree}from"./chunk-XYRYEKTV.js";import"./chunk-HFZMCS3K.js";import"./chunk-7VCPHPEQ.js";import"./chunk-57HGPWDU.js";import"./chunk-SXFYYG2E.js";export{commitTree,folderTree,glob,materialize,normalise,subtree};
