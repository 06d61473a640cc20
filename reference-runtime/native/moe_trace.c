// moe_trace: reads the router logits of a mixture-of-experts model under unmodified llama.cpp binaries.
//
// Loaded with RTLD_GLOBAL before llama-addon.node, it exports three symbols that the later libraries import, so that their calls arrive
// here first and are forwarded to the real functions:
//   llama_decode                          notes which (sequence, position, token) each row of the batch is
//   ggml_backend_tensor_set               sees the token and position inputs: the rows of each micro-batch in the order they are computed
//   ggml_backend_sched_set_eval_callback  installs our callback while a traced sequence is in the batch, and nothing otherwise
// Tensors are read by accessor functions only; no ggml struct layout is assumed. llama_batch is public API (llama.h) and passed by value.
//
// What one decode does to the rows is llama.cpp's split_equal (src/llama-batch.cpp, sequential = true): sequences of consecutive ids,
// equally many tokens each, sequence by sequence. The same split is computed here and then checked against the token and position inputs;
// where it does not match, the rows are counted as unattributed and not reported.
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <dlfcn.h>
#include <node_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SEQUENCES 1024
#define MAX_EXPERTS 1024
#define MAX_CHOSEN 64
#define MAX_BACKENDS 8
#define BACKEND_CHARS 32
#define EXPORTED __attribute__((visibility("default")))

struct llama_batch {
  int32_t n_tokens;
  int32_t *token;
  float *embd;
  int32_t *pos;
  int32_t *n_seq_id;
  int32_t **seq_id;
  int8_t *logits;
};

typedef bool (*eval_callback)(void *tensor, bool ask, void *user_data);
typedef int32_t (*decode_fn)(void *ctx, struct llama_batch batch);
typedef void (*tensor_set_fn)(void *tensor, const void *data, size_t offset, size_t size);
typedef void (*set_callback_fn)(void *sched, eval_callback callback, void *user_data);
typedef void *(*get_sched_fn)(const void *ctx);

// ---- the real functions -------------------------------------------------------------------------------------------------------------

static pthread_mutex_t resolve_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *(*real_get_name)(const void *tensor);
static size_t (*real_nbytes)(const void *tensor);
static void (*real_tensor_get)(const void *tensor, void *data, size_t offset, size_t size);
static decode_fn real_decode;
static tensor_set_fn real_tensor_set;
static set_callback_fn real_set_callback;
static get_sched_fn real_get_sched;
static void *(*real_tensor_backend)(void *sched, void *tensor);
static const char *(*real_backend_name)(void *backend);

// The object that `address` lies in. dlsym on its handle searches it and its dependencies, never the global scope, so that it cannot
// find our own symbol. RTLD_NEXT would not see libraries that were loaded RTLD_LOCAL.
static void *object_of(void *address) {
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == NULL) return NULL;
  return dlopen(info.dli_fname, RTLD_NOLOAD | RTLD_LAZY);
}

static void *resolve(void *caller, const char *name) {
  void *object = object_of(caller);
  void *found = object == NULL ? NULL : dlsym(object, name);
  if (found == NULL) {
    // No caller can go on without the real function: say so rather than return as if it had worked.
    fprintf(stderr, "moe_trace: %s not found behind its caller\n", name);
    abort();
  }
  return found;
}

// ---- settings and counters (under lock) ------------------------------------------------------------------------------------------------

static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *ring;
static size_t ring_records, ring_head, ring_count, record_bytes;
static int32_t experts, layers;
// The router logits of llama.cpp's graph: before a router's own bias, or after it. The softmax of such a router comes after the choice, so
// that its "probabilities" are the biased logits, and are called so last.
static const char plain_logits[] = "ffn_moe_logits-", biased_logits[] = "ffn_moe_probs-";
static const char *logits_name = plain_logits;
// For the self-test: the experts that llama.cpp itself chose, `choices_of` a layer, of steps of one row. Reading them is not for every day:
// it keeps GPU backends from computing the choice in one kernel.
static const char topk_name[] = "ffn_moe_topk-";
static int32_t *choices;
static int32_t choices_of;
static uint64_t recorded_total, dropped_total, unattributed_total, decodes_total, decodes_traced_total, rows_total, steps_total;
static uint8_t traced[MAX_SEQUENCES];
static int traced_count;
// Rows read by where the router of their layer was computed ("CPU", "Vulkan0", "CUDA0"): which device buffers the logits came out of.
static struct { char name[BACKEND_CHARS]; uint64_t rows; } backends[MAX_BACKENDS];

// ---- one decode, on the thread that runs it ----------------------------------------------------------------------------------------------

struct row {
  int32_t seq, pos, token;
  int8_t output, used, wanted;
};

static __thread struct {
  void *ctx;
  bool wanted;
  bool broken;
  struct row *rows;
  int32_t count, capacity;
  int32_t *ubatch;       // indices into rows, in the order of the micro-batch in flight
  int32_t ubatch_count;
  int32_t *outputs;      // the ones of them with logits requested
  int32_t output_count;
  bool positions_checked, awaiting_positions, step_counted;
  float *scratch;
  size_t scratch_bytes;
} decode;

static void break_trace(uint64_t rows) {
  decode.broken = true;
  pthread_mutex_lock(&ring_lock);
  unattributed_total += rows;
  pthread_mutex_unlock(&ring_lock);
}

// llama_batch_allocr::split_equal, sequential: fills decode.ubatch with the next `n` rows. False when the rows do not come out as `n`.
static bool next_ubatch(int32_t n) {
  static __thread int32_t chosen[MAX_SEQUENCES];
  static __thread int32_t cursor[MAX_SEQUENCES];
  int32_t sequences = 0, last = -2;
  for (int32_t i = 0; i < decode.count; i++) {
    if (decode.rows[i].used) continue;
    int32_t seq = decode.rows[i].seq;
    bool known = false;
    for (int32_t s = 0; s < sequences && !known; s++) known = chosen[s] == seq;
    if (known || (sequences > 0 && seq != last + 1)) continue;
    if (sequences == MAX_SEQUENCES) return false;
    chosen[sequences] = seq;
    cursor[sequences] = 0;
    sequences++;
    last = seq;
  }
  if (sequences == 0 || n % sequences != 0) return false;
  int32_t each = n / sequences, filled = 0;
  for (int32_t s = 0; s < sequences; s++) {
    int32_t taken = 0;
    for (int32_t i = 0; i < decode.count && taken < each; i++) {
      if (decode.rows[i].used || decode.rows[i].seq != chosen[s]) continue;
      decode.ubatch[filled++] = i;
      taken++;
    }
    if (taken < each) return false;
  }
  return filled == n;
}

static bool take_tokens(const int32_t *tokens, int32_t n) {
  decode.ubatch_count = 0;
  decode.output_count = 0;
  decode.step_counted = false;
  if (n > decode.count || !next_ubatch(n)) return false;
  for (int32_t i = 0; i < n; i++) {
    if (decode.rows[decode.ubatch[i]].token != tokens[i]) return false;
  }
  for (int32_t i = 0; i < n; i++) {
    struct row *row = &decode.rows[decode.ubatch[i]];
    row->used = 1;
    if (row->output) decode.outputs[decode.output_count++] = decode.ubatch[i];
  }
  decode.ubatch_count = n;
  return true;
}

static bool check_positions(const int32_t *positions, int32_t n) {
  if (n != decode.ubatch_count) return false;
  for (int32_t i = 0; i < n; i++) {
    if (decode.rows[decode.ubatch[i]].pos != positions[i]) return false;
  }
  return true;
}

// The name is the scheduler's: the backend it gave the tensor to. Under ring_lock.
static void count_backend(void *tensor, int32_t count) {
  if (real_tensor_backend == NULL || real_backend_name == NULL) return;
  void *backend = real_tensor_backend(real_get_sched(decode.ctx), tensor);
  const char *name = backend == NULL ? NULL : real_backend_name(backend);
  if (name == NULL) return;
  for (size_t i = 0; i < MAX_BACKENDS; i++) {
    if (backends[i].rows == 0) snprintf(backends[i].name, BACKEND_CHARS, "%s", name);
    else if (strncmp(backends[i].name, name, BACKEND_CHARS - 1) != 0) continue;
    backends[i].rows += (uint64_t)count;
    return;
  }
}

static void record_layer(void *tensor, int32_t layer, const int32_t *rows, int32_t count) {
  pthread_mutex_lock(&ring_lock);
  rows_total += (uint64_t)count;
  count_backend(tensor, count);
  // The first router of the micro-batch: the first layers of some models have none.
  if (!decode.step_counted) steps_total++;
  decode.step_counted = true;
  for (int32_t i = 0; i < count; i++) {
    const struct row *row = &decode.rows[rows[i]];
    if (!row->wanted) continue;
    if (ring_count == ring_records) {
      dropped_total++;
      continue;
    }
    uint8_t *at = ring + ((ring_head + ring_count) % ring_records) * record_bytes;
    int32_t head[4] = {row->seq, row->pos, row->token, layer};
    memcpy(at, head, sizeof head);
    memcpy(at + sizeof head, decode.scratch + (size_t)i * (size_t)experts, (size_t)experts * sizeof(float));
    ring_count++;
    recorded_total++;
  }
  pthread_mutex_unlock(&ring_lock);
}

// The layer in a tensor's name, -1 for another tensor: views of one are called "ffn_moe_probs-0 (reshaped)".
static int32_t layer_of(const char *name, const char *prefix) {
  size_t length = strlen(prefix);
  if (name == NULL || strncmp(name, prefix, length) != 0) return -1;
  char *end;
  long layer = strtol(name + length, &end, 10);
  return end != name + length && *end == '\0' && layer >= 0 && layer < INT32_MAX ? (int32_t)layer : -1;
}

// A view of the sorted experts, whose rows lie apart: of a single row the first are the chosen ones.
static void read_choice(void *tensor, int32_t layer) {
  int32_t chosen[MAX_CHOSEN];
  size_t bytes = (size_t)choices_of * sizeof *chosen;
  if (decode.count != 1 || layer >= layers || real_nbytes(tensor) != bytes) return;
  real_tensor_get(tensor, chosen, 0, bytes);
  memcpy(choices + (size_t)layer * (size_t)choices_of, chosen, bytes);
}

static bool on_tensor(void *tensor, bool ask, void *user_data) {
  (void)user_data;
  const char *name = real_get_name(tensor);
  int32_t layer = layer_of(name, logits_name);
  int32_t choice = choices == NULL ? -1 : layer_of(name, topk_name);
  if (ask) return (layer >= 0 || choice >= 0) && decode.wanted && !decode.broken;
  if (decode.broken) return true;
  if (choice >= 0) read_choice(tensor, choice);
  if (layer < 0) return true;
  size_t bytes = real_nbytes(tensor);
  size_t row_bytes = (size_t)experts * sizeof(float);
  int32_t count = (int32_t)(bytes / row_bytes);
  // The last layer is computed only for rows whose logits were asked for.
  const int32_t *rows = count == decode.ubatch_count ? decode.ubatch : count == decode.output_count ? decode.outputs : NULL;
  if (rows == NULL || bytes % row_bytes != 0 || layer >= layers || !decode.positions_checked) {
    break_trace((uint64_t)count);
    return true;
  }
  if (decode.scratch_bytes < bytes) {
    float *larger = realloc(decode.scratch, bytes);
    if (larger == NULL) {
      break_trace((uint64_t)count);
      return true;
    }
    decode.scratch = larger;
    decode.scratch_bytes = bytes;
  }
  real_tensor_get(tensor, decode.scratch, 0, bytes);
  record_layer(tensor, layer, rows, count);
  return true;
}

static bool begin_decode(const struct llama_batch *batch) {
  decode.wanted = false;
  decode.broken = false;
  decode.count = 0;
  decode.ubatch_count = 0;
  decode.output_count = 0;
  decode.positions_checked = false;
  decode.awaiting_positions = false;
  int any;
  pthread_mutex_lock(&ring_lock);
  decodes_total++;
  any = ring != NULL && traced_count > 0;
  pthread_mutex_unlock(&ring_lock);
  if (!any || batch->token == NULL || batch->pos == NULL || batch->seq_id == NULL || batch->n_tokens <= 0) return false;
  if (decode.capacity < batch->n_tokens) {
    size_t n = (size_t)batch->n_tokens;
    struct row *rows = realloc(decode.rows, n * sizeof *rows);
    if (rows != NULL) decode.rows = rows;
    int32_t *ubatch = realloc(decode.ubatch, n * sizeof *ubatch);
    if (ubatch != NULL) decode.ubatch = ubatch;
    int32_t *outputs = realloc(decode.outputs, n * sizeof *outputs);
    if (outputs != NULL) decode.outputs = outputs;
    if (rows == NULL || ubatch == NULL || outputs == NULL) return false;
    decode.capacity = batch->n_tokens;
  }
  pthread_mutex_lock(&ring_lock);
  for (int32_t i = 0; i < batch->n_tokens; i++) {
    int32_t seq = batch->seq_id[i][0];
    bool wanted = seq >= 0 && seq < MAX_SEQUENCES && traced[seq];
    decode.rows[i] = (struct row){seq, batch->pos[i], batch->token[i], batch->logits != NULL && batch->logits[i] != 0, 0, wanted};
    decode.wanted = decode.wanted || wanted;
  }
  decode.count = batch->n_tokens;
  if (decode.wanted) decodes_traced_total++;
  pthread_mutex_unlock(&ring_lock);
  return decode.wanted;
}

// ---- the three interposed functions ----------------------------------------------------------------------------------------------------

EXPORTED void ggml_backend_sched_set_eval_callback(void *sched, eval_callback callback, void *user_data) {
  pthread_mutex_lock(&resolve_lock);
  if (real_set_callback == NULL) real_set_callback = (set_callback_fn)resolve(__builtin_return_address(0), "ggml_backend_sched_set_eval_callback");
  pthread_mutex_unlock(&resolve_lock);
  if (decode.wanted && !decode.broken) real_set_callback(sched, on_tensor, NULL);
  else real_set_callback(sched, callback, user_data);
}

EXPORTED void ggml_backend_tensor_set(void *tensor, const void *data, size_t offset, size_t size) {
  if (real_tensor_set == NULL) {
    pthread_mutex_lock(&resolve_lock);
    if (real_tensor_set == NULL) real_tensor_set = (tensor_set_fn)resolve(__builtin_return_address(0), "ggml_backend_tensor_set");
    pthread_mutex_unlock(&resolve_lock);
  }
  if (decode.wanted && !decode.broken && offset == 0) {
    const char *name = real_get_name(tensor);
    int32_t n = (int32_t)(size / sizeof(int32_t));
    if (name != NULL && strcmp(name, "inp_tokens") == 0) {
      decode.positions_checked = false;
      decode.awaiting_positions = take_tokens(data, n);
      if (!decode.awaiting_positions) break_trace((uint64_t)n);
    } else if (decode.awaiting_positions && size == (size_t)decode.ubatch_count * sizeof(int32_t)) {
      // llama.cpp sets the positions right after the tokens; some builds leave that tensor unnamed, so it is known by its place and size.
      decode.awaiting_positions = false;
      if (check_positions(data, n)) decode.positions_checked = true;
      else break_trace((uint64_t)n);
    }
  }
  real_tensor_set(tensor, data, offset, size);
}

EXPORTED int32_t llama_decode(void *ctx, struct llama_batch batch) {
  pthread_mutex_lock(&resolve_lock);
  if (real_decode == NULL) {
    void *caller = __builtin_return_address(0);
    decode_fn found = (decode_fn)resolve(caller, "llama_decode");
    void *llama = object_of((void *)found);
    if (llama != NULL) {
      real_get_name = (const char *(*)(const void *))dlsym(llama, "ggml_get_name");
      real_nbytes = (size_t(*)(const void *))dlsym(llama, "ggml_nbytes");
      real_tensor_get = (void (*)(const void *, void *, size_t, size_t))dlsym(llama, "ggml_backend_tensor_get");
      real_get_sched = (get_sched_fn)dlsym(llama, "_ZNK13llama_context9get_schedEv");
      real_tensor_backend = (void *(*)(void *, void *))dlsym(llama, "ggml_backend_sched_get_tensor_backend");
      real_backend_name = (const char *(*)(void *))dlsym(llama, "ggml_backend_name");
      if (real_set_callback == NULL) real_set_callback = (set_callback_fn)dlsym(llama, "ggml_backend_sched_set_eval_callback");
    }
    real_decode = found;
  }
  pthread_mutex_unlock(&resolve_lock);
  bool ready = real_get_name != NULL && real_nbytes != NULL && real_tensor_get != NULL && real_get_sched != NULL && real_set_callback != NULL;
  if (!ready || !begin_decode(&batch)) {
    decode.wanted = false;
    return real_decode(ctx, batch);
  }
  decode.ctx = ctx;
  // The scheduler is asked for each time: llama.cpp makes a new one when the context changes.
  real_set_callback(real_get_sched(ctx), on_tensor, NULL);
  int32_t result = real_decode(ctx, batch);
  real_set_callback(real_get_sched(ctx), NULL, NULL);
  decode.wanted = false;
  return result;
}

// ---- the JavaScript side -------------------------------------------------------------------------------------------------------------------

static napi_value fail(napi_env env, const char *message) {
  napi_throw_range_error(env, "MOE_TRACE", message);
  return NULL;
}

// configure(experts, layers, records, biased): sets the record format and an empty ring of that many records, and which logits are read.
static napi_value js_configure(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  int32_t values[3];
  bool biased;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  for (size_t i = 0; i < 3; i++) {
    if (i >= argc || napi_get_value_int32(env, argv[i], &values[i]) != napi_ok) return fail(env, "configure(experts, layers, records, biased) takes three integers and a boolean");
  }
  if (argc < 4 || napi_get_value_bool(env, argv[3], &biased) != napi_ok) return fail(env, "configure: biased is a boolean");
  if (values[0] < 1 || values[0] > MAX_EXPERTS || values[1] < 1 || values[1] > 4096 || values[2] < 1 || values[2] > 16777216) {
    return fail(env, "configure: a value is out of range");
  }
  size_t bytes = 4 * sizeof(int32_t) + (size_t)values[0] * sizeof(float);
  uint8_t *fresh = malloc(bytes * (size_t)values[2]);
  if (fresh == NULL) return fail(env, "configure: no memory for the ring");
  pthread_mutex_lock(&ring_lock);
  free(ring);
  ring = fresh;
  ring_records = (size_t)values[2];
  ring_head = ring_count = 0;
  record_bytes = bytes;
  experts = values[0];
  layers = values[1];
  logits_name = biased ? biased_logits : plain_logits;
  free(choices);
  choices = NULL;
  pthread_mutex_unlock(&ring_lock);
  return NULL;
}

// observeChoices(used): from the next decode on the experts that llama.cpp chooses are kept too, `used` a layer; 0 ends it.
static napi_value js_observe_choices(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  int32_t used;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 1 || napi_get_value_int32(env, argv[0], &used) != napi_ok || used < 0 || used > MAX_CHOSEN || used > experts) {
    return fail(env, "observeChoices(used) takes how many experts a token uses");
  }
  free(choices);
  choices = used == 0 ? NULL : malloc((size_t)layers * (size_t)used * sizeof *choices);
  if (used > 0 && choices == NULL) return fail(env, "observeChoices: no memory");
  choices_of = used;
  if (choices != NULL) memset(choices, 0xff, (size_t)layers * (size_t)used * sizeof *choices);
  return NULL;
}

// choices(): what was kept of the last step, layer by layer, as 32-bit integers; -1 where there is nothing. Not while a decode runs.
static napi_value js_choices(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  void *data = NULL;
  size_t bytes = choices == NULL ? 0 : (size_t)layers * (size_t)choices_of * sizeof *choices;
  if (napi_create_arraybuffer(env, bytes, &data, &out) != napi_ok) return fail(env, "choices: no memory");
  if (bytes > 0) {
    memcpy(data, choices, bytes);
    memset(choices, 0xff, bytes);
  }
  return out;
}

// trace(sequence, on): whether rows of that sequence are recorded from the next decode on.
static napi_value js_trace(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t seq;
  bool on;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 2 || napi_get_value_int32(env, argv[0], &seq) != napi_ok || napi_get_value_bool(env, argv[1], &on) != napi_ok) {
    return fail(env, "trace(sequence, on) takes an integer and a boolean");
  }
  if (seq < 0 || seq >= MAX_SEQUENCES) return fail(env, "trace: sequence out of range");
  pthread_mutex_lock(&ring_lock);
  traced_count += (on ? 1 : 0) - (traced[seq] ? 1 : 0);
  traced[seq] = on;
  pthread_mutex_unlock(&ring_lock);
  return NULL;
}

// drain(): every record so far as one ArrayBuffer, oldest first; the ring is empty afterwards.
static napi_value js_drain(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  void *data = NULL;
  pthread_mutex_lock(&ring_lock);
  size_t count = ring_count, first = ring_records - ring_head < count ? ring_records - ring_head : count;
  if (napi_create_arraybuffer(env, count * record_bytes, &data, &out) != napi_ok) {
    pthread_mutex_unlock(&ring_lock);
    return fail(env, "drain: no memory");
  }
  if (count > 0) {
    memcpy(data, ring + ring_head * record_bytes, first * record_bytes);
    memcpy((uint8_t *)data + first * record_bytes, ring, (count - first) * record_bytes);
  }
  if (ring_records > 0) ring_head = (ring_head + count) % ring_records;
  ring_count = 0;
  pthread_mutex_unlock(&ring_lock);
  return out;
}

static void put(napi_env env, napi_value object, const char *name, uint64_t value) {
  napi_value number;
  napi_create_double(env, (double)value, &number);
  napi_set_named_property(env, object, name, number);
}

static napi_value js_stats(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  napi_create_object(env, &out);
  pthread_mutex_lock(&ring_lock);
  uint64_t values[] = {recorded_total, dropped_total, unattributed_total, decodes_total, decodes_traced_total, rows_total, steps_total, ring_count, ring_records};
  pthread_mutex_unlock(&ring_lock);
  const char *names[] = {"recorded", "dropped", "unattributed", "decodes", "decodesTraced", "rows", "steps", "pending", "capacity"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) put(env, out, names[i], values[i]);
  napi_value by;
  napi_create_object(env, &by);
  pthread_mutex_lock(&ring_lock);
  for (size_t i = 0; i < MAX_BACKENDS && backends[i].rows > 0; i++) put(env, by, backends[i].name, backends[i].rows);
  pthread_mutex_unlock(&ring_lock);
  napi_set_named_property(env, out, "backends", by);
  return out;
}

static napi_value init(napi_env env, napi_value exports) {
  const struct { const char *name; napi_callback call; } functions[] = {
      {"configure", js_configure}, {"trace", js_trace}, {"drain", js_drain}, {"stats", js_stats},
      {"observeChoices", js_observe_choices}, {"choices", js_choices}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
  return exports;
}

NAPI_MODULE(moe_trace, init)
