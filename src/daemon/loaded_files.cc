#include "daemon/loaded_files.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace gantry::daemon {
namespace {

// Segments that are readable only hold exactly what is in the file. (What was relocated is in writable ones.)
int give_back(dl_phdr_info* file, size_t /*size*/, void* /*data*/) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (size_t i = 0; i < file->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = file->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || segment.p_flags != PF_R) continue;
    const uintptr_t begin = (file->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const uintptr_t end = file->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // A kernel that cannot, or may not, leaves them: no harm.
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void give_back_loaded_tables() { ::dl_iterate_phdr(give_back, nullptr); }

}  // namespace gantry::daemon
