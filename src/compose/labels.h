// The labels that say what belongs to which project. Other tools read them, so the names are Docker Compose's.
#pragma once

namespace gantry::compose::label {

inline constexpr char kProject[] = "com.docker.compose.project";
inline constexpr char kService[] = "com.docker.compose.service";
inline constexpr char kConfigHash[] = "com.docker.compose.config-hash";
inline constexpr char kContainerNumber[] = "com.docker.compose.container-number";  // absent on one-offs
inline constexpr char kOneOff[] = "com.docker.compose.oneoff";                     // "True" or "False"
inline constexpr char kSlug[] = "com.docker.compose.slug";                         // one-offs: 64 hex digits
inline constexpr char kVersion[] = "com.docker.compose.version";
inline constexpr char kWorkingDir[] = "com.docker.compose.project.working_dir";
inline constexpr char kConfigFiles[] = "com.docker.compose.project.config_files";
inline constexpr char kEnvironmentFile[] = "com.docker.compose.project.environment_file";
inline constexpr char kDependsOn[] = "com.docker.compose.depends_on";  // "db:service_healthy:false,…"
inline constexpr char kImage[] = "com.docker.compose.image";           // digest of the image that was used
inline constexpr char kReplace[] = "com.docker.compose.replace";       // a replacement: the name that it takes over
inline constexpr char kNetwork[] = "com.docker.compose.network";       // key in the model
inline constexpr char kVolume[] = "com.docker.compose.volume";

// Not a label, but an annotation of a container that was made anew: why.
inline constexpr char kCauseAnnotation[] = "dev.gantry.cause";

}  // namespace gantry::compose::label
