import { isObject } from '../../core/json.ts';
import type { FieldReader } from './fields.ts';
import type { RawGroup } from './raw.ts';

/** `instrument`, `unit` and the annotations that say the number type and the agreed histogram bounds. */
export function readMetricFields(
  reader: FieldReader,
  id: string,
): Pick<RawGroup, 'instrument' | 'unit' | 'valueType' | 'bounds'> {
  const instrument = reader.requiredText('instrument', 'counter, updowncounter, histogram or gauge');
  const unit = reader.has('unit') || reader.map['unit'] === '' ? reader.text('unit') : undefined;
  if (unit === undefined && !reader.has('unit'))
    reader.wrong(undefined, `The metric \`${id}\` lacks \`unit\`.`, 'a UCUM unit, e.g. `s`, `By`, `{request}`, `1`');
  const annotations = reader.map['annotations'];
  const generation = isObject(annotations) ? annotations['code_generation'] : undefined;
  const number = isObject(generation) ? generation['metric_value_type'] : undefined;
  const ours = isObject(annotations) ? annotations['mixgate'] : undefined;
  const bounds = isObject(ours) ? ours['bounds'] : undefined;
  let checkedBounds: readonly number[] | undefined;
  if (bounds !== undefined) {
    const numbers = Array.isArray(bounds) ? bounds.filter((bound) => typeof bound === 'number' && Number.isFinite(bound)) : [];
    const ascending = numbers.every((bound, index) => index === 0 || Number(bound) > Number(numbers[index - 1]));
    if (Array.isArray(bounds) && numbers.length === bounds.length && ascending) checkedBounds = numbers as number[];
    else reader.wrong('annotations', `The histogram bounds of \`${id}\` are not usable.`, 'a list of ascending numbers');
  }
  return {
    ...(instrument === undefined ? {} : { instrument }),
    ...(unit === undefined ? {} : { unit }),
    ...(number === 'int' || number === 'double' ? { valueType: number } : {}),
    ...(checkedBounds === undefined ? {} : { bounds: checkedBounds }),
  };
}
