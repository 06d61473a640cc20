import type { GatingFound } from './gating.ts';

/** What the rest of the runtime needs to know about a model. Sizes in bytes. */
export interface ModelShape {
  architecture: string;
  name: string;
  layers: number;
  experts: number;
  expertsUsed: number;
  width: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  vocabulary: number;
  trainedContext: number;
  parameters: number;
  fileBytes: number;
  /** Bytes of the tensors of each layer. */
  layerBytes: number[];
  /** Bytes of the output matrix; where it is tied, of the embedding that it is. */
  outputBytes: number;
  tiedOutput: boolean;
  /** Layers with a router; others are dense (the first ones of DeepSeek's models). */
  routedLayers: number[];
  gating: GatingFound;
}
