// A stand-in for NVIDIA's driver, for `drivers.rs`: it has a device and computes nothing. What is wrong with it, THRESHOLD_DRIVER
// says. Only what is called until memory is asked for; codes and numbers of attributes are those of cuda.h.
#include <cstdlib>
#include <cstring>

enum Code { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, STUB_LIBRARY = 34, NO_DEVICE = 100, NO_BINARY_FOR_GPU = 209 };
enum Attribute { MULTIPROCESSOR_COUNT = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, MAX_SHARED_OPTIN = 97 };

static bool is(const char* fault) {
    const char* said = getenv("THRESHOLD_DRIVER");
    return said != nullptr && strcmp(said, fault) == 0;
}

// A handle that is none.
static void* const HANDLE = (void*)16;

extern "C" {
int cuDriverGetVersion(int* version) {
    *version = is("old") ? 12020 : 12060;
    return is("stand-in") ? STUB_LIBRARY : SUCCESS;
}
int cuInit(unsigned) { return is("no device") ? NO_DEVICE : SUCCESS; }
int cuDeviceGetCount(int* count) { return *count = 1, SUCCESS; }
int cuDeviceGet(int* device, int) { return *device = 0, SUCCESS; }
int cuDevicePrimaryCtxRetain(void** context, int) { return *context = HANDLE, is("no context") ? OUT_OF_MEMORY : SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void*) { return SUCCESS; }
int cuDeviceGetName(char* name, int, int) { return strcpy(name, "a stand-in"), SUCCESS; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case CAPABILITY_MAJOR: *value = is("no image") ? 7 : 9; break;
        case CAPABILITY_MINOR: *value = is("no image") ? 5 : 0; break;
        case MULTIPROCESSOR_COUNT: *value = 8; break;
        case MAX_SHARED_OPTIN: *value = 101376; break;
        default: return INVALID_VALUE;
    }
    return SUCCESS;
}
int cuGetErrorString(int code, const char** words) {
    return *words = code == NO_BINARY_FOR_GPU ? "no kernel image is available" : "something else", SUCCESS;
}
int cuModuleLoadData(void** module, const void*) { return *module = HANDLE, is("not loaded") ? NO_BINARY_FOR_GPU : SUCCESS; }
int cuModuleUnload(void*) { return SUCCESS; }
int cuModuleGetFunction(void** kernel, void*, const char*) { return *kernel = HANDLE, SUCCESS; }
int cuFuncGetParamInfo(void*, size_t number, size_t* offset, size_t* bytes) {
    return *offset = 0, *bytes = 8, number == 0 ? SUCCESS : INVALID_VALUE;
}
int cuFuncGetAttribute(int* value, int, void*) { return *value = 0, SUCCESS; }
int cuFuncSetAttribute(void*, int, int) { return SUCCESS; }
int cuStreamCreate(void** stream, unsigned) { return *stream = HANDLE, SUCCESS; }
int cuStreamDestroy_v2(void*) { return SUCCESS; }
int cuStreamSynchronize(void*) { return SUCCESS; }
int cuMemAlloc_v2(unsigned long long* start, size_t) { return *start = 0, OUT_OF_MEMORY; }
int cuMemGetInfo_v2(size_t* free, size_t* total) { return *free = 1000, *total = 2000, SUCCESS; }
int cuMemHostAlloc(void** start, size_t, unsigned) { return *start = nullptr, OUT_OF_MEMORY; }
}
