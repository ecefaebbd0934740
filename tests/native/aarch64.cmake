# Cross-compile for 64-bit Arm with Debian's g++-aarch64-linux-gnu; run the result under qemu-user:
#   cmake -S . -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=tests/native/aarch64.cmake -DMLPKERN_BUILD_CHECKS=ON
#   cmake --build build/aarch64 --target bits
#   qemu-aarch64 -L /usr/aarch64-linux-gnu build/aarch64/tests/native/bits neon
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
