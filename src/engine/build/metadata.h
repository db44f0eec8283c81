// What the instructions that make no layer do to an image's config (ENV, LABEL, CMD, EXPOSE, …). Pure; any thread.
// Also what `import` and `commit` take as changes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/build/dockerfile.h"
#include "engine/build/expand.h"
#include "engine/image/image_document.h"

namespace gantry::engine {

// What a stage must remember between its instructions.
struct MetadataState {
  bool command_set = false;  // CMD was set in this stage: ENTRYPOINT leaves it alone
};

// Whether the instruction is one of those: it changes the config and nothing else.
bool is_metadata(const Instruction& instruction);

// Errors: Code::invalid, without the line; the document may have changed in part.
Result<> apply_metadata(const Instruction& instruction, char escape, const VariableLookup& lookup,
                        ImageDocument& document, MetadataState& state);

// Each change is one instruction's text. Only CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, MAINTAINER, ONBUILD,
// STOPSIGNAL, USER, VOLUME and WORKDIR are changes. Errors name the change.
Result<> apply_changes(const std::vector<std::string>& changes, ImageDocument& document);

// Environments are lists of "NAME=value"; a name stays where it was first set.
std::optional<std::string> get_variable(const std::vector<std::string>& environment, const std::string& name);
void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value);

// WORKDIR's argument under the present directory ("" = "/"): absolute, without "." and "..".
std::string resolve_working_dir(const std::string& present, const std::string& argument);

// "1h2m3.5s". Errors: in Go's words. Negative durations are refused.
Result<std::chrono::nanoseconds> parse_go_duration(const std::string& text);

}  // namespace gantry::engine
