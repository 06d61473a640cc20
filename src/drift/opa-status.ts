import type { Path, SourceDocument } from '../config/document.ts';
import type { Location } from '../core/finding.ts';
import { isObject, type Json } from '../core/json.ts';
import { isList, textAt, valueAt } from '../kubernetes/path.ts';

/** What one policy engine says about one bundle (OPA Status API, `bundles.<name>`). */
export interface BundleStatus {
  readonly instance: string;
  readonly bundle: string;
  /** Empty when the bundle has no revision. */
  readonly revision: string;
  readonly lastRequest: string | undefined;
  /** Set when the last activation failed. */
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly location: Location;
}

/** Whether a document is an OPA status: `GET /v1/status` wraps it in `result`, the pushed form doesn't. */
export function isOpaStatus(value: Json): boolean {
  const status = valueAt(value, ['result']) ?? value;
  return isObject(valueAt(status, ['bundles']));
}

export function bundleStatuses(value: Json, source: SourceDocument, at: Path, fallbackInstance: string): readonly BundleStatus[] {
  const wrapped = isObject(valueAt(value, ['result']));
  const status = wrapped ? valueAt(value, ['result'])! : value;
  const base: Path = wrapped ? [...at, 'result'] : at;
  const bundles = valueAt(status, ['bundles']);
  if (!isObject(bundles)) return [];
  const instance = textAt(status, ['labels', 'id']) ?? fallbackInstance;
  return Object.entries(bundles).map(([bundle, state]) => {
    const errors = valueAt(state, ['errors']);
    const code = textAt(state, ['code']) ?? (isList(errors) && errors.length > 0 ? 'errors' : undefined);
    return {
      instance,
      bundle,
      revision: textAt(state, ['active_revision']) ?? '',
      lastRequest:
        textAt(state, ['last_successful_request']) ??
        textAt(state, ['last_successful_download']) ??
        textAt(state, ['last_successful_activation']),
      code: code === '' ? undefined : code,
      message: textAt(state, ['message']),
      location: source.locate([...base, 'bundles', bundle]),
    };
  });
}
