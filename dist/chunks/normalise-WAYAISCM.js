import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{normalise}from"./chunk-AAE7NUF7.js";import"./chunk-GS7Z7TMN.js";import"./chunk-QMLOJ7YN.js";import"./chunk-VTM4YCJQ.js";import"./chunk-Q56PXAVK.js";import"./chunk-IUPTALQM.js";import"./chunk-57HGPWDU.js";import"./chunk-SXFYYG2E.js";export{normalise};
