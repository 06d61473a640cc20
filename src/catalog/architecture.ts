/** The shape of a decoder-only transformer with a (mixture-of-experts) SwiGLU feed-forward part, as Mixtral has it. */
export interface Architecture {
  readonly family: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Inner width of one expert. */
  readonly feedForwardSize: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  /** 1: dense. */
  readonly experts: number;
  readonly activeExperts: number;
  readonly tiedEmbeddings?: boolean;
}

/** Families whose parameters the formula below counts exactly: no biases, one norm before attention and one before the experts. */
const COUNTED = new Set(['mixtral', 'llama', 'mistral']);

export interface ParameterCounts {
  readonly total: number;
  /** What one token uses: `activeExperts` of the experts. */
  readonly active: number;
}

/**
 * Parameters of a Mixtral-architecture model. Embeddings (two matrices unless tied), per layer attention (q, k, v, o), two
 * RMSNorms, the router and three matrices for each expert, and the last norm. Mixtral 8x7B: 46,702,792,704 total and
 * 12,879,925,248 active ("Mixtral of Experts", Jiang et al. 2024: 47B and 13B). Undefined for families with other parts.
 */
export function countParameters(a: Architecture): ParameterCounts | undefined {
  if (!COUNTED.has(a.family.toLowerCase())) return undefined;
  const embeddings = a.vocabularySize * a.hiddenSize * (a.tiedEmbeddings === true ? 1 : 2);
  const attention = 2 * a.hiddenSize * a.heads * a.headDim + 2 * a.hiddenSize * a.kvHeads * a.headDim;
  const router = a.experts > 1 ? a.hiddenSize * a.experts : 0;
  const expert = 3 * a.hiddenSize * a.feedForwardSize;
  const layer = (experts: number): number => attention + 2 * a.hiddenSize + router + experts * expert;
  const count = (experts: number): number => embeddings + a.layers * layer(experts) + a.hiddenSize;
  return { total: count(a.experts), active: count(a.activeExperts) };
}

/** Facts that contradict each other, one sentence each. */
export function contradictions(a: Architecture): readonly { readonly field: keyof Architecture; readonly message: string }[] {
  const found: { field: keyof Architecture; message: string }[] = [];
  if (a.activeExperts > a.experts)
    found.push({ field: 'activeExperts', message: `${a.activeExperts} experts are active of ${a.experts}` });
  if (a.heads % a.kvHeads !== 0)
    found.push({ field: 'kvHeads', message: `${a.heads} attention heads cannot share ${a.kvHeads} key/value heads evenly` });
  if (a.family.toLowerCase() === 'mixtral' && a.experts < 2)
    found.push({ field: 'experts', message: 'a Mixtral model has more than one expert' });
  return found;
}
