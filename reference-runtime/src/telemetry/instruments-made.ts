// The Prometheus metrics that the table of instruments describes.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { INSTRUMENTS, type Instrument, type InstrumentKey, labelOf } from './instruments.ts';

type Label<Name extends string> = Name extends `${infer Head}.${infer Tail}` ? `${Head}_${Label<Tail>}` : Name;
/** The labels of an instrument. */
export type Labels<Key extends InstrumentKey> = Label<keyof (typeof INSTRUMENTS)[Key]['attributes'] & string>;
type Made<Key extends InstrumentKey> = (typeof INSTRUMENTS)[Key]['kind'] extends 'counter'
  ? Counter<Labels<Key>>
  : (typeof INSTRUMENTS)[Key]['kind'] extends 'gauge'
    ? Gauge<Labels<Key>>
    : Histogram<Labels<Key>>;

/** The Prometheus metric of every instrument, with its labels checked by the compiler. */
export type Instruments = { readonly [Key in InstrumentKey]: Made<Key> };

export function instrumentsIn(registry: Registry): Instruments {
  const make = ({ prometheus, kind, help, attributes, buckets }: Instrument): Counter | Gauge | Histogram => {
    const options = { name: prometheus, help, labelNames: Object.keys(attributes).map(labelOf), registers: [registry] };
    if (kind === 'counter') return new Counter(options);
    if (kind === 'gauge') return new Gauge(options);
    return new Histogram({ ...options, ...(buckets === undefined ? {} : { buckets: [...buckets] }) });
  };
  // Made from the table's rows one by one, so that each key has the metric that its row describes.
  return Object.fromEntries(Object.entries(INSTRUMENTS).map(([key, row]) => [key, make(row)])) as unknown as Instruments;
}
