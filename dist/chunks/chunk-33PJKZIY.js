import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{__name}from"./chunk-SXFYYG2E.js";function seedFromCommit(commit){return commit===void 0?1:Number.parseInt(commit.slice(0,8),16)>>>0}__name(seedFromCommit,"seedFromCommit");export{seedFromCommit};
