// What malloc has handed out, for the memory probe: resident memory keeps the high-water mark of the busiest moment, and says nothing about leaks.
#define NAPI_VERSION 8
#include <malloc.h>
#include <node_api.h>

// used(): bytes in use in all arenas and in mappings of their own, after free pages went back to the system.
static napi_value used(napi_env env, napi_callback_info info) {
  (void)info;
  malloc_trim(0);
  struct mallinfo2 state = mallinfo2();
  napi_value out;
  napi_create_double(env, (double)(state.uordblks + state.hblkhd), &out);
  return out;
}

static napi_value init(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "used", NAPI_AUTO_LENGTH, used, NULL, &function);
  napi_set_named_property(env, exports, "used", function);
  return exports;
}

NAPI_MODULE(malloc_probe, init)
