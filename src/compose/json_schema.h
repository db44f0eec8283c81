// The compose format as a JSON Schema, for editors: schemas/compose-spec.json. It is made from the tables that the loader
// checks with (schema.h), so that both always agree; a test compares the file with what is made here.
#pragma once

#include <string>

namespace gantry::compose {

// The whole file, with descriptions. Describes what may be written in one file: short and long forms, extends, include.
std::string json_schema();

// What an attribute is for: "service.image" → a sentence; "" = nothing is said.
std::string_view description_of(std::string_view attribute);

}  // namespace gantry::compose
