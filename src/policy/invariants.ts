import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { Modules } from '../rego/source.ts';
import type { AstModule } from './ast.ts';
import { definitionsOf, packageName } from './definitions.ts';

/** Package of the generated module; never part of what a user writes. */
export const GATE_PACKAGE = 'mixgate_gate';
export const CHECK_ENTRYPOINT = `${GATE_PACKAGE}/result`;
/** Invariants are this package and those below it; nothing else is. */
export const INVARIANTS_PACKAGE = 'invariants';

/** Packages below `invariants` that have a `violation` rule. @throws ConfigurationError when the folder declares none */
export function invariantPackages(asts: ReadonlyMap<string, AstModule>, folder: string): readonly string[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  const files = [...asts].filter(([file]) => !file.endsWith('_test.rego'));
  for (const [file, ast] of files) {
    const name = packageName(ast);
    if (name !== INVARIANTS_PACKAGE && !name.startsWith(`${INVARIANTS_PACKAGE}.`)) {
      problems.push({
        message: `the package is ${name}.`,
        location: { file, line: ast.package.location?.row ?? 1 },
        expected: '`package invariants` or one below it',
      });
    }
  }
  for (const definition of definitionsOf(new Map(files)))
    if (definition.rule === `${definition.package}.violation`) names.add(definition.package);
  if (problems.length > 0) throw new ConfigurationError(problems);
  if (names.size === 0) {
    throw new ConfigurationError({
      message: 'no invariant is declared here.',
      location: { file: folder },
      expected: 'a module with `violation contains msg if {...}`',
    });
  }
  return [...names].sort();
}

/**
 * The module that evaluates the decision and every invariant in one call: `{}` when all hold, `{package: [messages]}`
 * where one is broken, `false` when `where` leaves the input out. One evaluation a point instead of one an invariant.
 */
export function checkModule(entrypoint: string, packages: readonly string[], where: string | undefined): Modules {
  const decision = `data.${entrypoint.replaceAll('/', '.')}`;
  const lines = [
    `package ${GATE_PACKAGE}`,
    '',
    `document := {"input": input, "decision": decision} if decision := ${decision}`,
    '',
    'else := {"input": input}',
    '',
    `broken := {name: messages | some name, messages in {${packages.map((name) => `${JSON.stringify(name)}: data.${name}.violation`).join(', ')}}; count(messages) > 0}`,
    '',
    ...(where === undefined
      ? ['result := found if found := broken with input as document', '']
      : [
          'result := found if {',
          `\tdata.${where} == true`,
          '\tfound := broken with input as document',
          '}',
          '',
          'else := false',
          '',
        ]),
  ];
  return new Map([['mixgate_gate.rego', lines.join('\n')]]);
}
