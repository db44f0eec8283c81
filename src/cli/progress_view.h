// Draws what an operation tells (compose/progress.h) to standard error: live rows on a terminal, lines or JSON
// elsewhere. Any thread may show(); one view is on the screen at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "cli/output.h"
#include "compose/progress.h"

namespace gantry::cli {

enum class ProgressMode { tty, plain, json, quiet };

struct ProgressStyle {
  ProgressMode mode = ProgressMode::plain;
  bool colour = false;
  std::string operation;  // "up", for the header
  // Attached `up` ends on Created: what starts is told by its log.
  bool show_starts = true;
  bool show_layers = true;  // off: --quiet-pull
};

class ProgressView {
 public:
  static std::unique_ptr<ProgressView> make(const ProgressStyle& style, const Output& output, const Clock& clock);
  virtual ~ProgressView() = default;

  virtual void show(const compose::Progress& progress) = 0;
  // What came together.
  virtual void show_all(std::span<const compose::Progress> list) {
    for (const compose::Progress& progress : list) show(progress);
  }
  // Lets other text appear above the rows (a log line, a question): the rows are taken away while `print` runs.
  virtual void print_above(const std::function<void()>& print) = 0;
  // Draws the last picture and gives the terminal back. Nothing is drawn afterwards. May be called twice.
  virtual void finish() = 0;
};

// The line of a progress in the plain and json modes, with its line feed.
std::string plain_line(const compose::Progress& progress);
std::string json_line(const compose::Progress& progress);  // progress_json.cc

}  // namespace gantry::cli
