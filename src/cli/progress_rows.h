// The picture of an operation on a terminal: a row per resource, made from progress lines alone. Pure: the caller
// says how late it is and how large the terminal is.
//
//   [+] up 2/3
//    ✔ Network hello_default  Created                  0.1s
//    ⠋ Container hello-web-1  Starting                 0.4s
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/output.h"
#include "compose/progress.h"

namespace gantry::cli {

// "Container hello-web-1", "Network hello_default"; services and projects by their bare name.
std::string resource_label(const compose::Progress& progress);

class ProgressRows {
 public:
  ProgressRows(std::string operation, bool colour) : operation_(std::move(operation)), colour_(colour) {}

  void apply(const compose::Progress& progress, MonoTime now);
  bool empty() const { return rows_.empty(); }
  // The lines to draw, no longer than the terminal is wide and no more than it is high.
  std::vector<std::string> frame(TerminalSize size, MonoTime now) const;

 private:
  struct Layer {
    uint64_t current = 0;
    uint64_t total = 0;
    bool done = false;
  };
  struct Row {
    std::string label;
    compose::Progress::Status status = compose::Progress::Status::working;
    std::string text;
    std::string details;
    std::map<std::string, Layer> layers;
    MonoTime started;
    MonoTime ended;  // where the timer stands still; used when not working
  };

  void apply_layer(Row& row, const compose::Progress& progress);
  Row& row_of(const std::string& label, MonoTime now);
  std::vector<const Row*> visible_rows(size_t room) const;
  std::string header() const;
  std::string line(const Row& row, size_t label_width, size_t columns, MonoTime now) const;
  static std::string layer_bar(const Row& row);
  static std::string layer_sizes(const Row& row);

  std::string operation_;
  bool colour_;
  std::vector<Row> rows_;                // in order of appearance
  std::map<std::string, size_t> index_;  // label → place in rows_
};

}  // namespace gantry::cli
