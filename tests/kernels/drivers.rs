//! Drivers that cannot be used, each told with its remedy: a stand-in of a few lines in the place of NVIDIA's, in a process of its
//! own, so that the machine's driver, if it has one, is not asked.

use crate::rig::drawn;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use threshold_kernels::device::cuda::Cuda;
use threshold_kernels::device::{Device as _, DeviceError};
use threshold_kernels::{CudaEngine, KernelError};
use threshold_models::cascade::CascadeOptions;

/// What is wrong with the driver, for `driver.cpp`; and the folder of images.
const FAULT: &str = "THRESHOLD_DRIVER";
const IMAGES: &str = "THRESHOLD_DRIVER_IMAGES";

/// What the opening of a device says, or asking it for memory.
fn told(images: &Path) -> String {
    let device = match Cuda::open(0, images) {
        Ok(device) => device,
        Err(fault) => return fault.to_string(),
    };
    let staging = device.staging(8).unwrap_err();
    assert!(matches!(staging, DeviceError::OutOfMemory { asked: 8, free: 0 }), "{staging}");
    let memory = device.alloc(4096).unwrap_err();
    let engine = CudaEngine::new(device, &drawn(), CascadeOptions::default()).map(|_| ());
    let engine = engine.unwrap_err();
    assert!(
        matches!(engine, KernelError::Device(DeviceError::OutOfMemory { free: 1000, .. })),
        "{engine}"
    );
    memory.to_string()
}

/// Images of one op for compute capability 9.0.
fn images(folder: &Path) {
    let image = b"an image";
    std::fs::write(folder.join("pnet.cubin"), image).unwrap();
    let hash = blake3::hash(image).to_hex();
    let entry = serde_json::json!({ "file": "pnet.cubin", "hash": hash.as_str(), "kernels": { "pnet": {} } });
    let manifest =
        serde_json::json!({ "format": 1, "ops": { "pnet": { "images": { "sm_90": entry } } } });
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
}

#[test]
fn a_driver_that_cannot_be_used_is_told_with_a_remedy() {
    if let Some(images) = std::env::var_os(IMAGES) {
        let line = format!("told: {}\n", told(images.as_ref()));
        return std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/driver.cpp");
    let library = folder.path().join("libcuda.so");
    let mut compiler = Command::new("g++");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library);
    let done = compiler.arg(source).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    images(folder.path());
    let cpu = "or use the CPU engine";
    for (fault, begins, ends) in [
        ("stand-in", "no CUDA driver on this machine", cpu),
        ("old", "the CUDA driver is for CUDA 12.2, the kernels need 12.6; update", cpu),
        ("no device", "no CUDA device 0, 0 found", "`nvidia-smi`"),
        ("no context", "cuDevicePrimaryCtxRetain: something else (code 2)", "`nvidia-smi`"),
        ("no image", "no kernels for compute capability 7.5 in ", "`cargo xtask kernels`"),
        ("not loaded", "the driver does not load ", "update the driver"),
        ("no memory", "4096 bytes of device memory asked for, 1000 free", "a smaller frame"),
    ] {
        let test = "drivers::a_driver_that_cannot_be_used_is_told_with_a_remedy";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--nocapture", test]).env(FAULT, fault).env(IMAGES, folder.path());
        let done = child.env("LD_LIBRARY_PATH", folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        let told = text.lines().find_map(|line| line.split_once("told: ")).unwrap_or_default().1;
        assert!(
            done.status.success() && told.starts_with(begins) && told.ends_with(ends),
            "{fault}: {text}{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}
