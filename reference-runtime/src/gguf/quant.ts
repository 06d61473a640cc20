// Block (de)quantisation of the types a variant can be made of or into. Layouts and rounding follow ggml's reference
// functions (ggml/src/ggml-quants.c: quantize_row_q{4_0,5_0,8_0}_ref, dequantize_row_*), so that the bytes are ggml's own.
import type { TensorType } from './types.ts';

const QK = 32;
const f32 = Math.fround;

/** IEEE 754 binary16 to number. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const SCRATCH = new DataView(new ArrayBuffer(4));

/** Number to IEEE 754 binary16, round to nearest, ties to even. */
export function floatToHalf(value: number): number {
  SCRATCH.setFloat32(0, value);
  const bits = SCRATCH.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    if (magnitude < 0x33000000) return sign;
    const shift = 126 - (magnitude >>> 23);
    const mantissa = (magnitude & 0x7fffff) | 0x800000;
    return sign | roundShift(mantissa, shift);
  }
  return sign | roundShift(magnitude - 0x38000000, 13);
}

function roundShift(value: number, shift: number): number {
  const half = 2 ** (shift - 1);
  const whole = Math.floor(value / 2 ** shift);
  const rest = value - whole * 2 ** shift;
  return rest > half || (rest === half && whole % 2 === 1) ? whole + 1 : whole;
}

interface Codec {
  decode(view: DataView, count: number): Float32Array;
  encode(values: Float32Array): Uint8Array;
}

/** C's roundf: halves away from zero. */
function roundAway(value: number): number {
  return value < 0 ? -Math.floor(-value + 0.5) : Math.floor(value + 0.5);
}

function encodeBlocks(values: Float32Array, size: number, block: (view: DataView, at: number, from: number) => void): Uint8Array {
  const out = new Uint8Array((values.length / QK) * size);
  const view = new DataView(out.buffer);
  for (let index = 0; index < values.length / QK; index++) block(view, index * size, index * QK);
  return out;
}

/** The value of largest magnitude with its sign (the first on a tie), as ggml's 4 and 5 bit reference quantisers use it. */
function signedMaximum(values: Float32Array, from: number): number {
  let amax = 0;
  let max = 0;
  for (let j = 0; j < QK; j++) {
    const value = values[from + j] as number;
    if (amax < Math.abs(value)) {
      amax = Math.abs(value);
      max = value;
    }
  }
  return max;
}

const Q8_0: Codec = {
  decode(view, count) {
    const out = new Float32Array(count);
    for (let block = 0; block < count / QK; block++) {
      const d = halfToFloat(view.getUint16(block * 34, true));
      for (let j = 0; j < QK; j++) out[block * QK + j] = view.getInt8(block * 34 + 2 + j) * d;
    }
    return out;
  },
  encode(values) {
    return encodeBlocks(values, 34, (view, at, from) => {
      let amax = 0;
      for (let j = 0; j < QK; j++) amax = Math.max(amax, Math.abs(values[from + j] as number));
      const d = f32(amax / 127);
      const inverse = d ? f32(1 / d) : 0;
      view.setUint16(at, floatToHalf(d), true);
      for (let j = 0; j < QK; j++) view.setInt8(at + 2 + j, roundAway(f32((values[from + j] as number) * inverse)));
    });
  },
};

const Q4_0: Codec = {
  decode(view, count) {
    const out = new Float32Array(count);
    for (let block = 0; block < count / QK; block++) {
      const d = halfToFloat(view.getUint16(block * 18, true));
      for (let j = 0; j < QK / 2; j++) {
        const byte = view.getUint8(block * 18 + 2 + j);
        out[block * QK + j] = ((byte & 15) - 8) * d;
        out[block * QK + j + QK / 2] = ((byte >> 4) - 8) * d;
      }
    }
    return out;
  },
  encode(values) {
    return encodeBlocks(values, 18, (view, at, from) => {
      const d = f32(signedMaximum(values, from) / -8);
      const inverse = d ? f32(1 / d) : 0;
      view.setUint16(at, floatToHalf(d), true);
      for (let j = 0; j < QK / 2; j++) {
        const low = Math.min(15, Math.trunc(f32(f32((values[from + j] as number) * inverse) + 8.5)));
        const high = Math.min(15, Math.trunc(f32(f32((values[from + j + QK / 2] as number) * inverse) + 8.5)));
        view.setUint8(at + 2 + j, low | (high << 4));
      }
    });
  },
};

const Q5_0: Codec = {
  decode(view, count) {
    const out = new Float32Array(count);
    for (let block = 0; block < count / QK; block++) {
      const at = block * 22;
      const d = halfToFloat(view.getUint16(at, true));
      const high = view.getUint32(at + 2, true);
      for (let j = 0; j < QK / 2; j++) {
        const byte = view.getUint8(at + 6 + j);
        out[block * QK + j] = (((byte & 15) | (((high >>> j) & 1) << 4)) - 16) * d;
        out[block * QK + j + QK / 2] = (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16) * d;
      }
    }
    return out;
  },
  encode(values) {
    return encodeBlocks(values, 22, (view, at, from) => {
      const d = f32(signedMaximum(values, from) / -16);
      const inverse = d ? f32(1 / d) : 0;
      view.setUint16(at, floatToHalf(d), true);
      let high = 0;
      for (let j = 0; j < QK / 2; j++) {
        const a = Math.min(31, Math.trunc(f32(f32((values[from + j] as number) * inverse) + 16.5)));
        const b = Math.min(31, Math.trunc(f32(f32((values[from + j + QK / 2] as number) * inverse) + 16.5)));
        view.setUint8(at + 6 + j, (a & 15) | ((b & 15) << 4));
        high |= ((a >> 4) << j) | ((b >> 4) << (j + QK / 2));
      }
      view.setUint32(at + 2, high >>> 0, true);
    });
  },
};

const F16: Codec = {
  decode(view, count) {
    const out = new Float32Array(count);
    for (let index = 0; index < count; index++) out[index] = halfToFloat(view.getUint16(index * 2, true));
    return out;
  },
  encode(values) {
    const out = new DataView(new ArrayBuffer(values.length * 2));
    for (let index = 0; index < values.length; index++) out.setUint16(index * 2, floatToHalf(values[index] as number), true);
    return new Uint8Array(out.buffer);
  },
};

const F32: Codec = {
  decode(view, count) {
    const out = new Float32Array(count);
    for (let index = 0; index < count; index++) out[index] = view.getFloat32(index * 4, true);
    return out;
  },
  encode(values) {
    const out = new DataView(new ArrayBuffer(values.length * 4));
    for (let index = 0; index < values.length; index++) out.setFloat32(index * 4, values[index] as number, true);
    return new Uint8Array(out.buffer);
  },
};

const CODECS: Record<string, Codec> = { F32, F16, Q8_0, Q5_0, Q4_0 };

/** The tensor types that can be decoded and encoded here. */
export const SUPPORTED_TYPES = Object.keys(CODECS);

function codec(type: TensorType): Codec {
  const found = CODECS[type.name];
  if (found === undefined)
    throw new RangeError(`tensors of type ${type.name} cannot be converted here; supported: ${SUPPORTED_TYPES.join(', ')}`);
  return found;
}

/** Decodes `count` elements (a multiple of the type's block) to float32. */
export function dequantize(type: TensorType, bytes: Uint8Array, count: number): Float32Array {
  return codec(type).decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), count);
}

/** Encodes float32 values; their count must be a multiple of the type's block. */
export function quantize(type: TensorType, values: Float32Array): Uint8Array {
  if (values.length % type.block !== 0)
    throw new RangeError(`${values.length} values do not divide into ${type.name} blocks of ${type.block}`);
  return codec(type).encode(values);
}
