// Collects what is wrong with the files while they are loaded. One for one load; one thread.
//
// Places are small (a file number, a line, a column) because every node of a tree carries two of them; they become
// Marks, with the file's name, only in a Diagnostic or in the finished Project.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compose/history.h"
#include "compose/source.h"

namespace gantry::compose {

// Where in the tree we are: a chain on the stack, made into text only when there is something to say.
struct Path {
  const Path* parent = nullptr;
  std::string_view key;  // a mapping's key, or
  int index = -1;        // a list's position

  static const Path& root() {
    static const Path kRoot;
    return kRoot;
  }
  // A child points at its parent, so the parent must have a name of its own that outlives it.
  Path operator/(std::string_view child) const& { return {this, child, -1}; }
  Path operator[](int at) const& { return {this, {}, at}; }
  Path operator/(std::string_view) const&& = delete;
  Path operator[](int) const&& = delete;
  std::string str() const;  // "services.web.ports[0]"
};

class Report {
 public:
  Report() = default;
  // One that only counts: for trying.
  static Report silent() {
    Report report;
    report.silent_ = true;
    return report;
  }

  int add_file(std::string name, std::string text);
  const std::string& file_name(int file) const { return names_[static_cast<size_t>(file)]; }

  void error(const Place& place, const Path& path, std::string message, std::string hint = {});
  void error_at(const Place& place, std::string path, std::string message, std::string hint = {}, int length = 0);
  void warning(const Place& place, const Path& path, std::string message, std::string hint = {});

  bool failed() const { return errors_ > 0; }
  size_t errors() const { return errors_; }
  // So much is wrong that nobody will read more of it: whoever finds things may stop.
  bool full() const { return errors_ >= kMostErrors; }
  Mark mark(const Place& place) const;

  // Grows while files are loaded.
  History history;
  // Variables were not replaced: a text with one is nothing that can be checked or read.
  bool raw = false;
  bool is_raw(std::string_view text) const { return raw && text.find('$') != std::string_view::npos; }

  // Ranges are short to write and long to hold. False when the ports of all ranges together are more than a project can
  // mean: the caller refuses the range.
  bool may_expand(size_t ports) {
    expanded_ports_ += ports;
    return expanded_ports_ <= kMostPorts;
  }

  // In file order (the order of the files, then lines), without repetitions. Leaves the report empty.
  std::vector<Diagnostic> take();
  std::map<std::string, std::string> texts() const;

 private:
  static constexpr size_t kMostPorts = 4 * 65536;
  static constexpr size_t kMostErrors = 100;  // a broken file must not fill the terminal
  struct Entry {
    Place place;
    Diagnostic diagnostic;
  };
  std::string note_about(const Place& place) const;
  void add(Severity severity, const Place& place, std::string path, std::string message, std::string hint, int length);

  std::vector<std::string> names_;
  std::vector<std::string> texts_;
  std::vector<Entry> entries_;
  size_t expanded_ports_ = 0;
  size_t errors_ = 0;
  size_t warnings_ = 0;
  bool silent_ = false;
};

}  // namespace gantry::compose
