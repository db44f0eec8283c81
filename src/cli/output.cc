#include "cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"

namespace gantry::cli {

void Output::write(std::string_view text) const {
  // A full disk or a vanished terminal: there is nobody left to tell.
  if (!text.empty()) (void)write_all(fd_, text).ok();
}

bool Output::is_terminal() const { return isatty(fd_) == 1; }

TerminalSize Output::size() const {
  winsize window{};
  if (ioctl(fd_, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {};
  return {.columns = window.ws_col, .rows = window.ws_row != 0 ? window.ws_row : TerminalSize{}.rows};
}

}  // namespace gantry::cli
