// A Dockerfile as text → its instructions, nothing expanded and nothing looked up yet. Pure; any thread.
// Rules: the Dockerfile reference, as BuildKit reads it (line continuations, parser directives, here-documents).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

struct InstructionFlag {
  std::string name;   // without "--"
  std::string value;  // "" for "--name"
  bool has_value = false;
};

struct HereDocument {
  std::string name;
  std::string content;  // each line with its newline; leading tabs gone after "<<-"
  bool expands = true;  // false: the name was quoted
};

struct Instruction {
  unsigned line = 0;      // of its first line, from 1
  unsigned last_line = 0;  // of its last one, here-documents included
  std::string keyword;    // in capitals
  std::vector<InstructionFlag> flags;
  std::string arguments;  // the rest of the line, continuations joined
  bool is_json = false;   // the arguments are a JSON list of strings: `list`
  std::vector<std::string> list;
  std::vector<HereDocument> here_documents;

  // As a person would write it on one line: for progress and history.
  std::string text() const;
};

struct Dockerfile {
  char escape = '\\';
  std::string check;  // value of the directive of that name
  std::vector<Instruction> instructions;
  std::vector<std::string> lines;  // of the source, for messages
};

// `name` is for messages only. Errors: Code::invalid, "dockerfile parse error on line N: …".
Result<Dockerfile> parse_dockerfile(std::string_view text, const std::string& name);

// One instruction without a file around it: an ONBUILD trigger, a change of `commit` or `import`.
Result<Instruction> parse_instruction(std::string_view text);

// Every instruction that there is, in capitals, and the flags that it knows, without "--".
std::vector<std::string> known_instructions();
const std::vector<std::string>& known_flags(std::string_view keyword);

// "dockerfile parse error on line N: …"
Error dockerfile_error(unsigned line, const std::string& message);
// A flag that the instruction does not know, with what was meant if it is near one of `known`.
Error unknown_flag(const std::string& name, const std::vector<std::string>& known);
// The flag of that name, or null.
const InstructionFlag* find_flag(const Instruction& instruction, std::string_view name);

}  // namespace gantry::engine
