// OpenSSL is made ready by whoever uses it first, not while the daemon is loaded.
//
// A static object of libcpp-httplib initialises OpenSSL with all its error texts before main(): 1.8 MB of memory and a
// millisecond of a daemon that may never speak to a registry. The loader takes the program's own definition of a function
// before a library's, so this one is called there and does nothing. OpenSSL's functions do what is needed on their first
// call (OPENSSL_init_crypto(3): "explicit initialisation is not needed"), and use their own OPENSSL_init_ssl for it.
#include <dlfcn.h>
#include <openssl/ssl.h>

namespace {

constinit bool libraries_loaded = false;

// Constructors of libraries have run by then.
[[gnu::constructor]] void note_libraries_loaded() { libraries_loaded = true; }

}  // namespace

extern "C" [[gnu::visibility("default")]] int OPENSSL_init_ssl(uint64_t options, const OPENSSL_INIT_SETTINGS* settings) {
  if (!libraries_loaded) return 1;
  const auto real = reinterpret_cast<decltype(&OPENSSL_init_ssl)>(dlsym(RTLD_NEXT, "OPENSSL_init_ssl"));
  return real(options, settings);
}
