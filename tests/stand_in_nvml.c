/* A stand-in for the NVIDIA driver's libnvidia-ml.so.1, for tests: no GPU is behind it.
 *
 * It answers as a host with RTX 3090s of 24 GiB, and only what kit/edge/host/nvml.py asks. Signatures,
 * structures, codes and units are those of nvml.h (driver 570), read from the public header and its
 * Python bindings; what a real card answers was not seen.
 *
 * How it answers is set by environment variables, or by lines of the same form (NAME=VALUE) in
 * stand_in_nvml.conf beside the library, for a container whose environment is not ours to change:
 *
 *   STAND_IN_NVML_GPUS       number of GPUs (2)
 *   STAND_IN_NVML_LINKS      NVLink links that are up on each (0); 4 is an NV4 bridge
 *   STAND_IN_NVML_COUNTERS   1: NVLink byte counters, which a GeForce card has not (0)
 *   STAND_IN_NVML_ENERGY     1: a counter of energy, which moves by 349.25 W (0)
 *   STAND_IN_NVML_REASONS    mask of reasons why clocks are not higher (0x4, the power cap)
 *   STAND_IN_NVML_PCIE       PCI Express generation now (4)
 *   STAND_IN_NVML_PROCESSES  processes that compute on each (0); one more draws and computes
 *   STAND_IN_NVML_SILENT     1: a driver that supports next to nothing (0)
 *   STAND_IN_NVML_BROKEN     1: a library whose driver is not loaded (0)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SUCCESS = 0,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9
};

enum { CLOCK_SM = 1, CLOCK_MEM = 2 };
enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3 };
enum { LINK_SPEED = 90, LINK_SENT = 138, LINK_RECEIVED = 139 };
enum { LINKS_OF_THE_CARD = 4, GPU_LIMIT = 8 };

static const unsigned long long GIB = 1ULL << 30;

typedef struct { int index; } Gpu;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct {
    char legacy[16];
    unsigned int domain, bus, device, pci_device, pci_subsystem;
    char bus_id[32];
} Pci;
typedef struct {
    unsigned int pid;
    unsigned long long memory;
    unsigned int gpu_instance, compute_instance;
} Process;
typedef struct {
    unsigned int field, scope;
    long long timestamp, latency_us;
    int type, result;
    union { unsigned int ui; unsigned long long ull; } value;
} FieldValue;

static Gpu gpus[GPU_LIMIT] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
static unsigned long long counted_kib = 1000;

static long from_file(const char *name, long otherwise) {
    Dl_info here;
    char path[4096], line[256];
    if (!dladdr((void *)from_file, &here)) return otherwise;
    snprintf(path, sizeof path, "%s", here.dli_fname);
    char *folder = dirname(path);
    char conf[4200];
    snprintf(conf, sizeof conf, "%s/stand_in_nvml.conf", folder);
    FILE *file = fopen(conf, "r");
    if (!file) return otherwise;
    size_t length = strlen(name);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, name, length) && line[length] == '=')
            otherwise = strtol(line + length + 1, NULL, 0);
    fclose(file);
    return otherwise;
}

static long setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? strtol(value, NULL, 0) : from_file(name, otherwise);
}

static int silent(void) { return setting("STAND_IN_NVML_SILENT", 0) != 0; }

static int told(unsigned int *place, unsigned int value) {
    if (silent()) return NOT_SUPPORTED;
    *place = value;
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    return setting("STAND_IN_NVML_BROKEN", 0) ? DRIVER_NOT_LOADED : SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int result) { return result ? "a stand-in's error" : "success"; }

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    snprintf(version, length, "570.133.20");
    return SUCCESS;
}
int nvmlSystemGetCudaDriverVersion(int *version) {
    *version = 12080;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    *count = (unsigned int)setting("STAND_IN_NVML_GPUS", 2);
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Gpu **gpu) {
    if (index >= GPU_LIMIT) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return SUCCESS;
}
int nvmlDeviceGetName(Gpu *gpu, char *name, unsigned int length) {
    (void)gpu;
    snprintf(name, length, "NVIDIA GeForce RTX 3090");
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v3(Gpu *gpu, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = gpu->index ? 0xb3 : 0x65;
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02x:00.0", pci->bus & 0xff);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xff);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
    memory->total = 24 * GIB;
    memory->used = 21 * GIB + (unsigned long long)gpu->index;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(Gpu *gpu, int *major, int *minor) {
    (void)gpu;
    *major = 8;
    *minor = 6;
    return SUCCESS;
}
int nvmlDeviceGetPowerManagementLimit(Gpu *gpu, unsigned int *mw) { (void)gpu; return told(mw, 350000); }
int nvmlDeviceGetPowerManagementDefaultLimit(Gpu *gpu, unsigned int *mw) { (void)gpu; return told(mw, 350000); }
int nvmlDeviceGetMaxClockInfo(Gpu *gpu, int type, unsigned int *mhz) {
    (void)gpu;
    return told(mhz, type == CLOCK_SM ? 2100 : 9751);
}
int nvmlDeviceGetMaxPcieLinkGeneration(Gpu *gpu, unsigned int *generation) { (void)gpu; return told(generation, 4); }
int nvmlDeviceGetMaxPcieLinkWidth(Gpu *gpu, unsigned int *lanes) { (void)gpu; return told(lanes, 16); }
int nvmlDeviceGetPersistenceMode(Gpu *gpu, unsigned int *on) { (void)gpu; return told(on, 1); }

int nvmlDeviceGetClockInfo(Gpu *gpu, int type, unsigned int *mhz) {
    (void)gpu;
    return told(mhz, type == CLOCK_SM ? 1695 : 9501);
}
int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned int *mw) { (void)gpu; return told(mw, 349250); }
int nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *mj) {
    struct timespec now;
    (void)gpu;
    if (silent() || !setting("STAND_IN_NVML_ENERGY", 0)) return NOT_SUPPORTED;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *mj = (unsigned long long)(349.25 * (1000.0 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec));
    return SUCCESS;
}
int nvmlDeviceGetTemperature(Gpu *gpu, int sensor, unsigned int *celsius) {
    (void)gpu;
    return sensor ? INVALID_ARGUMENT : told(celsius, 71);
}
int nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *utilization) {
    (void)gpu;
    utilization->gpu = 97;
    utilization->memory = 80;
    return silent() ? NOT_SUPPORTED : SUCCESS;
}
/* Only the name from before driver 535: the newer one is a function that is not found. */
int nvmlDeviceGetCurrentClocksThrottleReasons(Gpu *gpu, unsigned long long *reasons) {
    (void)gpu;
    *reasons = (unsigned long long)setting("STAND_IN_NVML_REASONS", 4);
    return silent() ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetCurrPcieLinkGeneration(Gpu *gpu, unsigned int *generation) {
    (void)gpu;
    return told(generation, (unsigned int)setting("STAND_IN_NVML_PCIE", 4));
}
int nvmlDeviceGetCurrPcieLinkWidth(Gpu *gpu, unsigned int *lanes) { (void)gpu; return told(lanes, 16); }

int nvmlDeviceGetNvLinkState(Gpu *gpu, unsigned int link, unsigned int *up) {
    (void)gpu;
    if (link >= LINKS_OF_THE_CARD) return INVALID_ARGUMENT;
    return told(up, (long)link < setting("STAND_IN_NVML_LINKS", 0));
}
static void field(FieldValue *value) {
    int links = (int)setting("STAND_IN_NVML_LINKS", 0);
    value->result = NOT_SUPPORTED;
    if (silent()) return;
    if (value->field == LINK_SPEED && links) {
        value->type = UNSIGNED_INT;
        value->value.ui = 14062; /* MB/s */
        value->result = SUCCESS;
    } else if ((value->field == LINK_SENT || value->field == LINK_RECEIVED) &&
               value->scope == 0xffffffffU && setting("STAND_IN_NVML_COUNTERS", 0)) {
        value->type = UNSIGNED_LONG_LONG;
        value->value.ull = links ? counted_kib++ : 0; /* KiB */
        value->result = SUCCESS;
    }
}
int nvmlDeviceGetFieldValues(Gpu *gpu, int count, FieldValue *values) {
    (void)gpu;
    for (int i = 0; i < count; i++) field(&values[i]);
    return SUCCESS;
}

static int processes(unsigned int there, unsigned int first, unsigned int *count, Process *list) {
    unsigned int room = *count;
    *count = there;
    if (silent()) return NOT_SUPPORTED;
    if (!there) return SUCCESS;
    if (!list || room < there) return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < there; i++) {
        memset(&list[i], 0, sizeof list[i]);
        list[i].pid = first + i;
        list[i].memory = GIB;
    }
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned int *count, Process *list) {
    (void)gpu;
    return processes((unsigned int)setting("STAND_IN_NVML_PROCESSES", 0), 100, count, list);
}
/* The first of those that compute, if any, draws too; and a desktop that only draws. */
int nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu *gpu, unsigned int *count, Process *list) {
    (void)gpu;
    return processes(setting("STAND_IN_NVML_PROCESSES", 0) ? 2 : 0, 99, count, list);
}
