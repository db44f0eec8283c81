// Of OpenSSL a command has SHA-256 alone, for a few hundred bytes. libcrypto's initialiser asks the processor what it can do,
// before main() of every command; in a virtual machine each CPUID instruction is a trip to the hypervisor, 30 us together.
// This definition takes the place of that inquiry: nothing is found, and SHA-256 runs its plain x86-64 code.
//
// Weak, so that libcrypto's own wins wherever more of OpenSSL is linked in. gantry-tls has the system's OpenSSL.
extern "C" void OPENSSL_cpuid_setup();

extern "C" [[gnu::weak]] void OPENSSL_cpuid_setup() {}
