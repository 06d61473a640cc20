import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{normalise}from"./chunk-AMZVCZ6W.js";import"./chunk-GS7Z7TMN.js";import"./chunk-Q44VHPRN.js";import"./chunk-ELH2BWQK.js";import"./chunk-XVOVKFGM.js";import"./chunk-KWWO5W57.js";import"./chunk-CFHU727Q.js";import"./chunk-SXFYYG2E.js";export{normalise};
