import type { Preset } from '../../slo/presets.ts';
import type { Invocation, OptionSpec } from '../framework.ts';

export const PRESET: OptionSpec = {
  type: 'string',
  value: 'NAME',
  choices: ['project', 'workbook'],
  description:
    'alert policies of SLOs that name none: project (page above 5x over 1 h, escalate after 2 h; default) or workbook (four pairs)',
};

export function presetOf(invocation: Invocation): Preset | undefined {
  return invocation.options.string('preset') as Preset | undefined;
}
