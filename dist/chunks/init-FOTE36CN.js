import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);
import{CONFIG_FILE}from"./chunk-BXKCDMSK.js";import"./chunk-ZVYPELXU.js";import"./chunk-7W5GWD33.js";import{folderTree}from"./chunk-NX2CTTQY.js";import{writeWhole}from"./chunk-6GMIODSH.js";import"./chunk-J2NU73HE.js";import"./chunk-PXGNOOZQ.js";import{ConfigurationError}from"./chunk-U42222YD.js";import"./chunk-XLIBRZQI.js";import{compareText}from"./chunk-LC4FE3ZB.js";import{__name}from"./chunk-SXFYYG2E.js";import{existsSync}from"node:fs";import{basename,dirname,join,resolve}from"node:path";import{posix}from"node:path";var LOOK_AT=64*1024,MAX_FILES=2e3;async function detect(tree){let paths=await tree.list(),read=__name(async pattern=>[...await tree.readMany(paths.filter(path=>pattern.test(path)).slice(0,MAX_FILES))].map(([path,buffer])=>({path,text:buffer.subarray(0,LOOK_AT).toString("utf8")})),"read"),yaml=await read(/\.ya?ml$/i),rego=await read(/\.rego$/),json=await read(/(?:^|\/)(?:samples|events|otlp|schemas)\/.*\.json$/i),lines=await read(/\.(?:ndjson|jsonl)$/i),telemetry2=telemetryOf(yaml,json),policy2=policyOf(rego,yaml,lines),catalog2=catalogOf(yaml),canaryProfile=shortest(yaml.filter(f=>/(?:^|\/)canary\//.test(f.path)&&has(f,"metrics")&&has(f,"version")));return{...telemetry2===void 0?{}:{telemetry:telemetry2},...policy2===void 0?{}:{policy:policy2},...catalog2===void 0?{}:{catalog:catalog2},clusters:clustersOf(yaml,paths),slo:patternsOf(yaml.filter(f=>/^apiVersion:\s*["']?openslo\/v1\b/m.test(f.text)),yaml),...canaryProfile===void 0?{}:{canaryProfile}}}__name(detect,"detect");function telemetryOf(yaml,json){let registry=yaml.filter(f=>/^file_format:\s*["']?definition\/2/m.test(f.text)||has(f,"groups")&&/^\s*- id:/m.test(f.text));if(registry.length===0)return;let events=outermost(json.filter(f=>/(?:^|\/)events\//.test(f.path)&&f.text.includes('"$schema"'))),samples=json.filter(f=>/"resource(?:Metrics|Spans|Logs)"/.test(f.text));return{registries:outermost(registry),...events[0]===void 0?{}:{events:events[0]},samples:patternsOf(samples,json)}}__name(telemetryOf,"telemetryOf");function policyOf(rego,yaml,lines){let modules=rego.filter(f=>!f.path.endsWith("_test.rego")).map(f=>({...f,package:/^package\s+(?<name>[\w.]+)/m.exec(f.text)?.groups?.name??""})),isInvariant=__name(name=>name==="invariants"||name.startsWith("invariants."),"isInvariant"),candidates=modules.flatMap(f=>{let rule=["decision","allow"].find(name=>new RegExp(`^(?:default\\s+)?${name}\\b`,"m").test(f.text));return f.package===""||rule===void 0||isInvariant(f.package)?[]:[{path:f.path,package:f.package,rule}]}),rank=__name(c=>(/\brouting\b/.test(c.package)?0:2)+(c.rule==="decision"?0:1),"rank"),[best]=candidates.sort((a,b)=>rank(a)-rank(b)||(a.path<b.path?-1:1));if(best===void 0)return;let domain=shortest(yaml.filter(f=>has(f,"base")&&has(f,"vary"))),invariants=outermost(modules.filter(f=>isInvariant(f.package))),corpus=shortest(lines.filter(f=>f.text.split(`
`,1)[0].includes('"input"')));return{root:folderOf(best.path),entrypoint:`${best.package.replaceAll(".","/")}/${best.rule}`,...domain===void 0?{}:{domain},...invariants[0]===void 0?{}:{invariants:invariants[0]},...corpus===void 0?{}:{corpus}}}__name(policyOf,"policyOf");function catalogOf(yaml){let models=yaml.filter(f=>["id","version","artifact","architecture"].every(key=>has(f,key)));if(models.length===0)return;let pools=shortest(yaml.filter(f=>has(f,"pools")&&/\bmemory:/.test(f.text))),flags=shortest(yaml.filter(f=>has(f,"flags")&&/\bexpires:/.test(f.text)));return{models:patternsOf(models,yaml),...pools===void 0?{}:{pools},...flags===void 0?{}:{flags}}}__name(catalogOf,"catalogOf");function clustersOf(yaml,paths){let kustomizations=new Map(yaml.filter(f=>/^kustomization\.ya?ml$/.test(posix.basename(f.path))).map(f=>[folderOf(f.path),f.text])),named=[...kustomizations.keys()].filter(folder=>/(?:^|\/)clusters\/./.test(folder)),takes=[...kustomizations].flatMap(([folder,text])=>[...text.matchAll(/(?:^|[\s[,"'])(?<path>\.\.\/[\w./-]+)/g)].map(match=>posix.join(folder,match.groups.path).replace(/\/$/,"")).filter(from=>kustomizations.has(from)).map(from=>({folder,from}))),used=new Set(takes.map(({from})=>from));return(named.length>0?named:[...new Set(takes.map(({folder})=>folder))].filter(folder=>!used.has(folder)).sort()).map(overlay=>{let name=posix.basename(overlay),snapshot=paths.find(path=>/(?:^|\/)(?:live|snapshots?)\/[^/]+\.(?:ya?ml|json)$/.test(path)&&posix.parse(path).name===name);return{name,overlay,...snapshot===void 0?{}:{snapshot}}})}__name(clustersOf,"clustersOf");function has({text},key){return new RegExp(`^${key}:`,"m").test(text)}__name(has,"has");function folderOf(path){return posix.dirname(path)}__name(folderOf,"folderOf");function outermost(files){let folders=[...new Set(files.map(f=>folderOf(f.path)))].sort();return folders.filter(folder=>!folders.some(other=>other!==folder&&(other==="."||folder.startsWith(`${other}/`))))}__name(outermost,"outermost");function patternsOf(files,all){let wanted=new Set(files.map(f=>f.path)),patterns=files.map(({path})=>{let[folder,extension]=[folderOf(path),posix.extname(path)],alike=all.filter(f=>folderOf(f.path)===folder&&posix.extname(f.path)===extension);return alike.length<2||!alike.every(f=>wanted.has(f.path))?path:folder==="."?`*${extension}`:`${folder}/*${extension}`});return[...new Set(patterns)]}__name(patternsOf,"patternsOf");function shortest(files){return files.map(f=>f.path).sort((a,b)=>a.length-b.length||compareText(a,b))[0]}__name(shortest,"shortest");var HEAD=`# What mixgate reads in this repository. Paths are relative to the folder that mixgate runs in, which is this one
# unless --config named another; lists may hold glob patterns.
# A gate runs when its section is here; the sections behind # are examples of what there is besides.
# Every key: docs/configuration.md in the mixgate repository. \`mixgate explain\` lists every rule.
version: 1
`;function configTemplate(found){return[HEAD,telemetry(found),policy(found),catalog(found),clusters(found),slo(found),canary(found),PROMOTION].join(`
`)}__name(configTemplate,"configTemplate");function telemetry({telemetry:found}){let about=`# Telemetry schemas: OpenTelemetry semantic-convention registries and event schemas.
`;return found===void 0?`${about}${commented(`telemetry:
  registries:
    - path: telemetry/registry
      owned: true                       # ours: names in its namespaces must be defined here
  events: telemetry/events
  samples: [telemetry/samples/*.json]   # OTLP/JSON, as the Collector's file exporter writes it
  compatibility: FULL                   # FULL | FORWARD | BACKWARD | NONE
`)}`:`${about}telemetry:
  registries:
${found.registries.map(path=>`    - path: ${scalar(path)}
      owned: true                       # false for conventions that you only use
`).join("")}${line("events",found.events)}${list("samples",found.samples)}  compatibility: FULL                   # FULL | FORWARD | BACKWARD | NONE
`}__name(telemetry,"telemetry");function policy({policy:found}){let about=`# Routing policies in Rego. The first entrypoint is the routing decision.
`;if(found===void 0)return`${about}${commented(`policy:
  roots: [policies/routing]
  entrypoints: [routing/decision]
  domain: policies/domain.yaml          # what inputs can look like: proofs run over it
  invariants: policies/invariants       # what may never happen
  corpus: policies/corpus.ndjson        # recorded decisions to replay on base and head
  coverage: 90
  latencyBudgetMs: 10
`)}`;let domain=found.domain===void 0?`  # domain: policies/domain.yaml        # what inputs can look like: proofs run over it
`:line("domain",found.domain),invariants=found.invariants===void 0?`  # invariants: policies/invariants     # what may never happen
`:found.domain===void 0?`  # ${line("invariants",found.invariants).trim()}     # what may never happen; needs domain
`:line("invariants",found.invariants),corpus=found.corpus===void 0?`  # corpus: policies/corpus.ndjson      # recorded decisions to replay on base and head
`:line("corpus",found.corpus);return`${about}policy:
${list("roots",[found.root])}${list("entrypoints",[found.entrypoint])}${domain}${invariants}${corpus}  latencyBudgetMs: 10
`}__name(policy,"policy");function catalog({catalog:found}){let about=`# Model metadata, with digests and memory plans.
`;return found===void 0?`${about}${commented(`catalog:
  models: [catalog/models/*.yaml]
  pools: catalog/pools.yaml
  flags: catalog/flags.yaml
`)}`:`${about}catalog:
${list("models",found.models)}${line("pools",found.pools)}${line("flags",found.flags)}`}__name(catalog,"catalog");function clusters({clusters:found}){let about=`# The clusters, for drift reports. A snapshot is what kubectl prints, behind the time when it did:
# { printf 'apiVersion: mixgate.dev/v1\\nkind: ClusterSnapshot\\ncluster: us-east\\ncapturedAt: %s\\n---\\n' "$(date -u +%FT%TZ)"
#   kubectl get httproutes,inferencepools,deployments,configmaps -A -o yaml; } > live/us-east.yaml
`,all=found.length>0?found:[{name:"us-east",overlay:"clusters/us-east",snapshot:"live/us-east.yaml"}],note=found.length>0?`# These overlays are here: fill in where each cluster is, and delete the # in front.
`:"",[region,jurisdiction,zone]=found.length>0?['""','""','""']:["us-east-1","US","us"],entries=all.map(({name,overlay,snapshot})=>`  - name: ${scalar(name)}
    overlay: ${scalar(overlay)}
    snapshot: ${scalar(snapshot??`live/${name}.yaml`)}
    region: ${region}
    jurisdiction: ${jurisdiction}
    trustZone: ${zone}
`);return`${about}${note}${commented(`clusters:
${entries.join("")}`)}`}__name(clusters,"clusters");function slo({slo:found}){let about=`# Service level objectives (OpenSLO v1).
`,prometheus="prometheus: http://127.0.0.1:9090       # for burn rates: `mixgate slo gate`";return found.length===0?`${about}${commented(`slo:
  files: [slo/*.yaml]
  ${prometheus}
`)}`:`${about}slo:
${list("files",found)}  # ${prometheus}
`}__name(slo,"slo");function canary({canaryProfile:found}){let about=`# Canary analysis of baseline and candidate.
`;return found===void 0?`${about}${commented(`canary:
  profile: canary/profile.yaml
`)}`:`${about}canary:
${line("profile",found)}`}__name(canary,"canary");var PROMOTION=`# Environments that \`mixgate promote\` moves.
# promotion:
#   environments:
#     - name: production
#       cluster: us-east
#   policy: policies/promotion

# waivers: waivers.yaml
`;function commented(text){return text.replaceAll(/^(?=.)/gm,"# ")}__name(commented,"commented");function line(key,value){return value===void 0?"":`  ${key}: ${scalar(value)}
`}__name(line,"line");function list(key,values){return values.length===0?"":`  ${key}: [${values.map(scalar).join(", ")}]
`}__name(list,"list");function scalar(text){return/^(?:[a-z][\w./*-]*|\.|\*[\w.-]+)$/i.test(text)&&!/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text)&&!text.startsWith("*")?text:JSON.stringify(text)}__name(scalar,"scalar");var WORKFLOW_FILE=".github/workflows/mixgate.yml";function workflowFile(folder){return folder===""?WORKFLOW_FILE:WORKFLOW_FILE.replace(/\.yml$/,`-${tagOf(folder)}.yml`)}__name(workflowFile,"workflowFile");function tagOf(folder){return folder.replaceAll(/[^A-Za-z0-9]+/g,"-").replaceAll(/^-|-$/g,"")}__name(tagOf,"tagOf");function workflowTemplate(action,config,folder=""){let name=folder===""?"mixgate":`mixgate-${tagOf(folder)}`,given=[...config===CONFIG_FILE?[]:[`config: ${JSON.stringify(config)}`],...folder===""?[]:[`working-directory: ${JSON.stringify(folder)}`,`comment-tag: ${tagOf(folder)}`]],inputs=given.length===0?"":`
        with:
          ${given.join(`
          `)}`;return`name: ${name}
on:
  pull_request:
  merge_group:
permissions:
  contents: read
  pull-requests: write
  security-events: write
concurrency:
  group: ${name}-\${{ github.ref }}
  cancel-in-progress: \${{ github.event_name == 'pull_request' }}
jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          fetch-depth: 0
          persist-credentials: false
      - id: mixgate
        uses: ${action}${inputs}
      - if: always() && steps.mixgate.outputs.sarif-path != '' && (!github.event.pull_request || github.event.pull_request.head.repo.full_name == github.repository)
        uses: github/codeql-action/upload-sarif@9e907b5e64f6b83e7804b09294d44122997950d6 # v4.32.3
        with:
          sarif_file: \${{ steps.mixgate.outputs.sarif-path }}
          category: ${name}
`}__name(workflowTemplate,"workflowTemplate");var command={name:"init",summary:"write a mixgate.yaml for what is in this repository",details:`Looks for Rego policies, semantic-convention registries, model metadata, OpenSLO files and cluster overlays. What is found becomes
a section in force, the rest stays as comments. With --workflow the GitHub workflow is written too. Files that exist are kept.`,options:{workflow:{type:"string",value:"ACTION",description:`also write ${WORKFLOW_FILE} with this Action: OWNER/REPOSITORY@COMMIT, the full SHA`},stdout:{type:"boolean",description:"print mixgate.yaml instead of writing files"}},examples:[{command:"mixgate init",does:"write mixgate.yaml here"},{command:"mixgate init --stdout",does:"look at it first"},{command:"mixgate init --workflow your-org/mixgate@0123456789abcdef0123456789abcdef01234567",does:"with the workflow that runs it on pull requests"}],async run({dir,config,options}){let action=options.string("workflow");if(action!==void 0&&!/^[\w.-]+\/[\w.-]+(?:\/[\w./-]+)?@[0-9a-f]{40}$/.test(action))throw new ConfigurationError({message:`--workflow is ${JSON.stringify(action)}.`,expected:"OWNER/REPOSITORY@COMMIT with the full SHA of a commit: a tag can be moved"});let found=await detect(folderTree(dir));if(options.boolean("stdout"))return{text:configTemplate(found)};let{up,folder}=placeInRepository(dir),files=[{file:config,text:configTemplate(found)},...action===void 0?[]:[{file:`${up}${workflowFile(folder)}`,text:workflowTemplate(action,config,folder)}]],taken=files.filter(({file})=>existsSync(join(dir,file)));if(taken.length>0)throw new ConfigurationError(taken.map(({file})=>({message:`${file} exists already; nothing was changed.`,fix:"edit it, or look at a fresh mixgate.yaml with `mixgate init --stdout`."})));for(let{file,text}of files)await writeWhole(join(dir,file),text);return{text:`Wrote ${files.map(({file})=>file).join(" and ")}.
${next(found)}`}}};function next(found){let sections=["telemetry","policy","catalog"].filter(name=>found[name]!==void 0).map(String);found.slo.length>0&&sections.push("slo");let todo=found.clusters.length>0?`Fill in where the ${found.clusters.length} clusters are to find drift.
`:"";return sections.length===0?`${todo}Nothing else that a gate reads was found. Uncomment the sections you need, then run \`mixgate check\`.
`:`Sections in force: ${sections.join(", ")}. ${todo}Look at the paths, then run \`mixgate check\`.
`}__name(next,"next");function placeInRepository(dir){let names=[];for(let at=resolve(dir);;at=dirname(at)){if(existsSync(join(at,".git")))return{up:"../".repeat(names.length),folder:names.join("/")};if(at===dirname(at))return{up:"",folder:""};names.unshift(basename(at))}}__name(placeInRepository,"placeInRepository");export{command};
