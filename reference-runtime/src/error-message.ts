/** What an error says, for a sentence of ours; JavaScript can throw anything. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
