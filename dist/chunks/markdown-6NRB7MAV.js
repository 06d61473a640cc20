import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{describeLeft,details,findingDetails,fitParts,footer,gateTable,heading,markdownTable}from"./chunk-N6CF75OK.js";import{textChart}from"./chunk-ZJXELV74.js";import{measurementTable}from"./chunk-OSQNKRF5.js";import{clip,foldTable,markdown,markdownBlock,nextStep,oneLine,rankMeasurements,withEffect}from"./chunk-2QAO6AZG.js";import"./chunk-XLIBRZQI.js";import"./chunk-LC4FE3ZB.js";import{__name}from"./chunk-SXFYYG2E.js";var LIMIT_BYTES=1024*1024-4096,MAX_TABLE_ROWS=50;function renderMarkdown(report,options={}){let head=[`# ${heading(report)}`,gateTable(report),`**${markdown(nextStep(report))}**`].filter(part=>part!=="").join(`

`),closing=__name(left=>[...left.length===0?[]:[`_Left out for length: ${describeLeft(left)}. The JSON and HTML reports have everything._`],footer(report,options),""].join(`

`),"closing");return fitParts(head,parts(report,options),closing,LIMIT_BYTES,text=>Buffer.byteLength(text))}__name(renderMarkdown,"renderMarkdown");function parts(report,options){let finding=__name(text=>({text,noun:"finding"}),"finding"),blocking=withEffect(report.findings,"blocks").map(item=>finding(findingDetails(item,options))),rest=["warns","notes","waived"].flatMap(effect=>{let list=withEffect(report.findings,effect),title={warns:"Warnings",notes:"Notes",waived:"Waived"}[effect];return list.length===0?[]:chunked(list.map(item=>findingDetails(item,options,12)),`${title} (${list.length})`)});return[...blocking.length===0?[]:[{text:`## Blocking (${blocking.length})`,noun:"heading"},...blocking],...rest,...report.gates.flatMap(numbers)]}__name(parts,"parts");function chunked(items,title){let folds=[];for(let start=0;start<items.length;start+=100){let some=items.slice(start,start+100),range=items.length>100?`, ${start+1} to ${start+some.length}`:"";folds.push({text:details(`${title}${range}`,some.join(`

`)),noun:some.length===1?"finding":"fold of finding"})}return folds}__name(chunked,"chunked");function numbers(gate){let result=[],note=__name(text=>text===void 0?"":`

_${markdown(clip(text,500))}_`,"note");for(let chart of gate.charts??[])result.push({text:`### ${gate.id}: ${markdown(clip(chart.title,200))}

${markdownBlock(textChart(chart,100).join(`
`),"text")}${note(chart.note)}`,noun:"chart"});for(let table of gate.tables??[]){let shown=foldTable(table,MAX_TABLE_ROWS),rows=shown.rows.map(row=>row.map(cell=>markdown(clip(cell,400)))),more=shown.more===void 0?"":`

_\u2026 ${markdown(shown.more)}._`,sentences=(table.details??[]).slice(0,MAX_TABLE_ROWS).map(text=>`- ${markdown(clip(oneLine(text),600))}`);result.push({text:`### ${gate.id}: ${markdown(clip(table.title,200))}

${markdownTable(table.columns.map(name=>markdown(clip(name,100))),rows)}${more}${sentences.length===0?"":`

${sentences.join(`
`)}`}${note(table.note)}`,noun:"table"})}if(gate.measurements.length>0){let ranked=rankMeasurements(gate.measurements),{columns,rows}=measurementTable(ranked.slice(0,MAX_TABLE_ROWS)),more=ranked.length>MAX_TABLE_ROWS?`

_${ranked.length-MAX_TABLE_ROWS} more in the JSON and HTML reports._`:"",body=`${markdownTable(columns,rows.map(row=>row.map(cell=>markdown(clip(cell,200)))))}${more}`;result.push({text:details(`${gate.id}: measurements (${ranked.length})`,body),noun:"measurement table"})}return result}__name(numbers,"numbers");export{renderMarkdown};
