// Command lines as tables: every command lists its options once, and from that list come the parser, the messages
// and the help page. Rules of getopt_long as people know them from Docker's tools: `--name value`, `--name=value`,
// `-n value`, `-nvalue`, `-abc` for switches, `--` ends the options. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

enum class FlagKind : uint8_t { boolean, text, list, number };

// A literal that lies in the table itself. Each pointer in a table of a position-independent program is corrected at every
// start, whatever the command: a thousand flags with three texts each were seventeen pages.
template <size_t N>
class TableText {
 public:
  constexpr TableText() = default;
  template <size_t M>
  constexpr TableText(const char (&literal)[M]) : size_(M - 1) {  // NOLINT: as a string_view's
    static_assert(M - 1 <= N, "a longer text needs more room");
    std::copy_n(literal, M - 1, text_);
  }
  constexpr operator std::string_view() const { return {text_, size_}; }  // NOLINT
  constexpr bool empty() const { return size_ == 0; }

 private:
  uint8_t size_ = 0;
  char text_[N] = {};
};

struct Flag {
  TableText<31> name;  // "file", without dashes
  char letter = 0;     // 'f'; 0: none
  FlagKind kind = FlagKind::boolean;
  TableText<63> value_name;  // "FILE", for the help page
  TableText<111> help;
  // Known from other tools, but not built: using it is an error with this text. Empty: built.
  TableText<47> refused;
  bool hidden = false;  // works, but is not on the help page
};

struct Syntax {
  std::string_view name;       // "up"
  std::string_view arguments;  // "[SERVICE...]"
  std::string_view summary;    // one line
  std::span<const Flag> flags;
  size_t least_arguments = 0;
  size_t most_arguments = SIZE_MAX;
  // False: the first argument ends the options, so that what follows belongs to the container (run, exec).
  bool interspersed = true;
};

// What was typed, checked against a Syntax.
class Arguments {
 public:
  bool given(std::string_view flag) const;
  bool on(std::string_view flag) const;  // a switch; false when not given
  std::string text(std::string_view flag, std::string_view fallback = {}) const;
  std::vector<std::string> list(std::string_view flag) const;
  std::optional<int64_t> number(std::string_view flag) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  friend class Parser;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;  // switches: "true", "false"
  std::vector<std::string> positional_;
};

// `extra`: flags that every command of the family takes besides its own (--help, --dry-run).
// Errors (invalid): what is wrong and what may have been meant.
Result<Arguments> parse(const Syntax& syntax, std::span<const Flag> extra, std::span<const std::string> words);

// Parses options up to the first word that is none; `rest` gets that word and all behind it.
Result<Arguments> parse_leading(std::span<const Flag> flags, std::span<const std::string> words,
                                std::vector<std::string>& rest);

// "Usage:  compose up [OPTIONS] [SERVICE...]", the summary and the options, aligned.
std::string help_page(std::string_view program, const Syntax& syntax, std::span<const Flag> extra);
std::string options_help(std::span<const Flag> flags);

// ": did you mean "up"?" or "": to put behind a message about an unknown `word`.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

}  // namespace gantry::cli
