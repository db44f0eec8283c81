#include "client/tls_module.h"

#include <dlfcn.h>

#include "base/executable.h"

namespace gantry::client {

Result<const TlsModule*> tls_module() {
  const std::filesystem::path file = TRY(find_program("gantry-tls.so"));
  void* loaded = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  const void* module = loaded == nullptr ? nullptr : ::dlsym(loaded, kTlsModuleSymbol);
  if (module == nullptr) return internal_error("cannot load " + file.string() + ": " + ::dlerror());
  return static_cast<const TlsModule*>(module);
}

}  // namespace gantry::client
