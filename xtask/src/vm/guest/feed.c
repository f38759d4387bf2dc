/* Feeds pictures into the output of vivid's HDMI loop-back, so that its camera sees them.
 *
 * feed OUTPUT CAMERA PICTURE
 *
 * PICTURE holds one frame, 640 x 480, YUYV. It is read anew for each frame, so that whoever renames another file there
 * changes what the camera sees. Ten frames a second are enough: vivid shows the last one until the next one comes.
 * The lowest bit of some luma values changes from frame to frame, as a sensor's noise does: a camera whose picture never
 * changes by a bit is rightly taken for a stuck one.
 * The output is asked by ioctls on a blocking descriptor; its write() gives EINVAL. */

#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 480, BYTES = WIDTH * HEIGHT * 2, BUFFERS = 3, PAUSE_US = 100000 };

static void must(int done, const char *what) {
    if (done < 0) {
        perror(what);
        exit(1);
    }
}

static int open_node(const char *path) {
    int node = open(path, O_RDWR);
    must(node, path);
    return node;
}

/* The first of the timings that HDMI knows: 640 x 480 at 60 Hz. */
static void set_timings(int node) {
    struct v4l2_enum_dv_timings known = {.index = 0};
    must(ioctl(node, VIDIOC_ENUM_DV_TIMINGS, &known), "VIDIOC_ENUM_DV_TIMINGS");
    must(ioctl(node, VIDIOC_S_DV_TIMINGS, &known.timings), "VIDIOC_S_DV_TIMINGS");
}

/* Sets a control by its name; 1 if the node has it. */
static int set_control(int node, const char *name, int value) {
    struct v4l2_queryctrl control = {.id = V4L2_CTRL_FLAG_NEXT_CTRL};
    while (ioctl(node, VIDIOC_QUERYCTRL, &control) == 0) {
        if (strcmp((const char *)control.name, name) == 0) {
            struct v4l2_control set = {.id = control.id, .value = value};
            must(ioctl(node, VIDIOC_S_CTRL, &set), name);
            return 1;
        }
        control.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
    }
    return 0;
}

static void fill(uint8_t *frame, const char *picture, uint32_t *noise) {
    static uint8_t last[BYTES];
    int file = open(picture, O_RDONLY);
    if (file >= 0) {
        size_t have = 0;
        ssize_t count;
        while (have < BYTES && (count = read(file, last + have, BYTES - have)) > 0) have += count;
        close(file);
    }
    memcpy(frame, last, BYTES);
    for (size_t at = 0; at < BYTES; at += 64) {
        *noise = *noise * 1664525u + 1013904223u;
        frame[at] ^= *noise >> 31;
    }
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "feed OUTPUT CAMERA PICTURE\n");
        return 2;
    }
    int output = open_node(arguments[1]);
    int camera = open_node(arguments[2]);
    set_timings(camera);
    set_timings(output);
    if (!set_control(output, "Loop Video", 1) && !set_control(camera, "Loop Video", 1)) {
        fprintf(stderr, "vivid has no loop\n");
        return 1;
    }
    set_control(camera, "OSD Text Mode", 2);
    close(camera);

    struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    must(ioctl(output, VIDIOC_G_FMT, &format), "VIDIOC_G_FMT");
    format.fmt.pix.width = WIDTH;
    format.fmt.pix.height = HEIGHT;
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
    must(ioctl(output, VIDIOC_S_FMT, &format), "VIDIOC_S_FMT");
    if (format.fmt.pix.sizeimage != BYTES) {
        fprintf(stderr, "the output takes %u bytes a frame\n", format.fmt.pix.sizeimage);
        return 1;
    }
    struct v4l2_requestbuffers wanted = {
        .count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP};
    must(ioctl(output, VIDIOC_REQBUFS, &wanted), "VIDIOC_REQBUFS");
    uint8_t *frames[BUFFERS];
    uint32_t noise = 1;
    for (uint32_t at = 0; at < BUFFERS; at++) {
        struct v4l2_buffer buffer = {
            .index = at, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP};
        must(ioctl(output, VIDIOC_QUERYBUF, &buffer), "VIDIOC_QUERYBUF");
        frames[at] = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, output,
                          buffer.m.offset);
        if (frames[at] == MAP_FAILED) {
            perror("mmap");
            return 1;
        }
        fill(frames[at], arguments[3], &noise);
        buffer.bytesused = BYTES;
        buffer.field = V4L2_FIELD_NONE;
        must(ioctl(output, VIDIOC_QBUF, &buffer), "VIDIOC_QBUF");
    }
    int type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    must(ioctl(output, VIDIOC_STREAMON, &type), "VIDIOC_STREAMON");
    /* Whoever called goes on when there is something to see. */
    must(daemon(1, 0), "daemon");
    for (;;) {
        struct v4l2_buffer buffer = {
            .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP};
        must(ioctl(output, VIDIOC_DQBUF, &buffer), "VIDIOC_DQBUF");
        fill(frames[buffer.index], arguments[3], &noise);
        buffer.bytesused = BYTES;
        buffer.field = V4L2_FIELD_NONE;
        must(ioctl(output, VIDIOC_QBUF, &buffer), "VIDIOC_QBUF");
        usleep(PAUSE_US);
    }
}
